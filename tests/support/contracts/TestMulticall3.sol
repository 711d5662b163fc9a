// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// The two calls of Multicall3 that are used, for its address on a test chain.
contract TestMulticall3 {
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            (results[i].success, results[i].returnData) = calls[i].target.call(calls[i].callData);
            require(results[i].success || calls[i].allowFailure, "Multicall3: call failed");
        }
    }

    function getBlockHash(uint256 number) external view returns (bytes32) {
        return blockhash(number);
    }
}
