// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// What the contracts here share with those they stand for: an owner in two steps and an initialiser in their
// ERC-7201 slots, and the implementation's side of an upgradeable proxy (ERC-1822).
abstract contract TestOwned {
    bytes32 private constant OWNER = 0x9016d09d72d40fdae2fd8ceac6b6234c7706214fd39c1cd1e609a0528c199300;
    bytes32 private constant PENDING = 0x237e158222e3e6968b72b9db0d8043aacf074ad9f650f0d1606b4d82ee432c00;
    bytes32 private constant INITIALIZED = 0xf0c57e16840df040f15088dc2f81fe391c3923bec73e23a9662efc9c229c6a00;
    bytes32 private constant IMPLEMENTATION = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event Initialized(uint64 version);
    event Upgraded(address indexed implementation);

    error OwnableUnauthorizedAccount(address account);
    error InvalidInitialization();

    modifier onlyOwner() {
        if (msg.sender != owner()) revert OwnableUnauthorizedAccount(msg.sender);
        _;
    }

    modifier initializer() {
        if (uint256(_load(INITIALIZED)) != 0) revert InvalidInitialization();
        _store(INITIALIZED, bytes32(uint256(1)));
        _;
        emit Initialized(1);
    }

    function owner() public view returns (address) {
        return address(uint160(uint256(_load(OWNER))));
    }

    function pendingOwner() public view returns (address) {
        return address(uint160(uint256(_load(PENDING))));
    }

    function transferOwnership(address to) external onlyOwner {
        _store(PENDING, bytes32(uint256(uint160(to))));
        emit OwnershipTransferStarted(owner(), to);
    }

    function acceptOwnership() external {
        if (msg.sender != pendingOwner()) revert OwnableUnauthorizedAccount(msg.sender);
        _store(PENDING, 0);
        _setOwner(msg.sender);
    }

    // Called on the proxy: the slot written is the proxy's.
    function upgradeToAndCall(address implementation, bytes calldata data) external payable onlyOwner {
        _beforeUpgrade(implementation);
        _store(IMPLEMENTATION, bytes32(uint256(uint160(implementation))));
        emit Upgraded(implementation);
        if (data.length > 0) {
            (bool ok,) = implementation.delegatecall(data);
            require(ok, "call after upgrade");
        }
    }

    function proxiableUUID() external pure returns (bytes32) {
        return IMPLEMENTATION;
    }

    function _beforeUpgrade(address implementation) internal virtual {}

    function _setOwner(address to) internal {
        emit OwnershipTransferred(owner(), to);
        _store(OWNER, bytes32(uint256(uint160(to))));
    }

    function _load(bytes32 slot) private view returns (bytes32 value) {
        assembly {
            value := sload(slot)
        }
    }

    function _store(bytes32 slot, bytes32 value) private {
        assembly {
            sstore(slot, value)
        }
    }
}
