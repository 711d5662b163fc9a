// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import "./TestOwned.sol";

interface ITestFlashtestationRegistry {
    struct TD10ReportBody {
        bytes16 teeTcbSvn;
        bytes mrSeam;
        bytes mrsignerSeam;
        bytes8 seamAttributes;
        bytes8 tdAttributes;
        bytes8 xFAM;
        bytes mrTd;
        bytes mrConfigId;
        bytes mrOwner;
        bytes mrOwnerConfig;
        bytes rtMr0;
        bytes rtMr1;
        bytes rtMr2;
        bytes rtMr3;
        bytes reportData;
    }

    struct RegisteredTEE {
        bool isValid;
        bytes rawQuote;
        TD10ReportBody parsedReportBody;
        bytes extendedRegistrationData;
        bytes32 quoteHash;
    }

    function getRegistration(address tee) external view returns (bool, RegisteredTEE memory);
}

// Takes any TDX quote of version 4 for its sender: nothing of it is verified.
contract TestFlashtestationRegistry is ITestFlashtestationRegistry {
    address public attestationContract; // slot 0
    mapping(address => RegisteredTEE) private _registered; // slot 1

    event TEEServiceRegistered(address indexed teeAddress, bytes rawQuote, bool alreadyExists);
    event TEEServiceInvalidated(address indexed teeAddress);

    function registerTEEService(bytes calldata quote, bytes calldata extended) external {
        RegisteredTEE storage tee = _registered[msg.sender];
        bool exists = tee.rawQuote.length > 0;
        bytes calldata body = quote[48:632]; // behind the header
        TD10ReportBody storage to = tee.parsedReportBody;
        to.teeTcbSvn = bytes16(body[0:16]);
        to.mrSeam = body[16:64];
        to.mrsignerSeam = body[64:112];
        to.seamAttributes = bytes8(body[112:120]);
        to.tdAttributes = bytes8(body[120:128]);
        to.xFAM = bytes8(body[128:136]);
        to.mrTd = body[136:184];
        to.mrConfigId = body[184:232];
        to.mrOwner = body[232:280];
        to.mrOwnerConfig = body[280:328];
        to.rtMr0 = body[328:376];
        to.rtMr1 = body[376:424];
        to.rtMr2 = body[424:472];
        to.rtMr3 = body[472:520];
        to.reportData = body[520:584];
        tee.isValid = true;
        tee.rawQuote = quote;
        tee.extendedRegistrationData = extended;
        tee.quoteHash = keccak256(quote);
        emit TEEServiceRegistered(msg.sender, quote, exists);
    }

    function invalidateAttestation(address tee) external {
        _registered[tee].isValid = false;
        emit TEEServiceInvalidated(tee);
    }

    function getRegistration(address tee) external view returns (bool, RegisteredTEE memory) {
        return (_registered[tee].isValid, _registered[tee]);
    }

    function getRegistrationStatus(address tee) external view returns (bool, bytes32) {
        return (_registered[tee].isValid, _registered[tee].quoteHash);
    }
}

// Slots 0 to 3 are those of BlockBuilderPolicy.
abstract contract TestWorkloadPolicyBase is TestOwned {
    struct WorkloadMetadata {
        string commitHash;
        string[] sourceLocators;
    }

    struct CachedWorkload {
        bytes32 workloadId;
        bytes32 quoteHash;
    }

    bytes32 public constant VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH =
        keccak256("VerifyBlockBuilderProof(uint8 version,bytes32 blockContentHash,uint256 nonce)");

    mapping(bytes32 => WorkloadMetadata) private _approved; // slot 0
    address public registry; // slot 1
    mapping(address => uint256) public nonces; // slot 2
    mapping(address => CachedWorkload) private _cached; // slot 3

    event RegistrySet(address indexed registry);
    event WorkloadAddedToPolicy(bytes32 indexed workloadId);
    event WorkloadRemovedFromPolicy(bytes32 indexed workloadId);

    error EmptyCommitHash();
    error EmptySourceLocators();
    error WorkloadAlreadyInPolicy();
    error WorkloadNotInPolicy();

    function initialize(address owner_, address registry_) external initializer {
        _setOwner(owner_);
        registry = registry_;
        emit RegistrySet(registry_);
    }

    function addWorkloadToPolicy(bytes32 id, string calldata commitHash, string[] calldata locators)
        external
        onlyOwner
    {
        if (bytes(commitHash).length == 0) revert EmptyCommitHash();
        if (locators.length == 0) revert EmptySourceLocators();
        if (_isApproved(id)) revert WorkloadAlreadyInPolicy();
        _approved[id].commitHash = commitHash;
        for (uint256 i = 0; i < locators.length; i++) _approved[id].sourceLocators.push(locators[i]);
        emit WorkloadAddedToPolicy(id);
    }

    function removeWorkloadFromPolicy(bytes32 id) external onlyOwner {
        if (!_isApproved(id)) revert WorkloadNotInPolicy();
        delete _approved[id];
        emit WorkloadRemovedFromPolicy(id);
    }

    function getWorkloadMetadata(bytes32 id) external view returns (WorkloadMetadata memory) {
        return _approved[id];
    }

    function isAllowedPolicy(address tee) external view returns (bool, bytes32) {
        (bool valid, ITestFlashtestationRegistry.RegisteredTEE memory registration) =
            ITestFlashtestationRegistry(registry).getRegistration(tee);
        if (!valid) return (false, 0);
        bytes32 id = workloadIdForTDRegistration(registration);
        return _isApproved(id) ? (true, id) : (false, bytes32(0));
    }

    function workloadIdForTDRegistration(ITestFlashtestationRegistry.RegisteredTEE memory registration)
        public
        pure
        virtual
        returns (bytes32);

    function _id(ITestFlashtestationRegistry.TD10ReportBody memory body, bytes8 xfam, bytes8 attributes)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            bytes.concat(
                body.mrTd, body.rtMr0, body.rtMr1, body.rtMr2, body.rtMr3, body.mrConfigId, xfam, attributes
            )
        );
    }

    function _isApproved(bytes32 id) private view returns (bool) {
        return bytes(_approved[id].commitHash).length > 0;
    }
}

contract TestWorkloadPolicy is TestWorkloadPolicyBase {
    function workloadIdForTDRegistration(ITestFlashtestationRegistry.RegisteredTEE memory registration)
        public
        pure
        override
        returns (bytes32)
    {
        ITestFlashtestationRegistry.TD10ReportBody memory body = registration.parsedReportBody;
        return _id(body, body.xFAM, body.tdAttributes);
    }
}

// The first formula. Its masks were meant for numbers; the quote's bytes are little-endian, so they hit others.
contract TestWorkloadPolicyV1 is TestWorkloadPolicyBase {
    function workloadIdForTDRegistration(ITestFlashtestationRegistry.RegisteredTEE memory registration)
        public
        pure
        override
        returns (bytes32)
    {
        ITestFlashtestationRegistry.TD10ReportBody memory body = registration.parsedReportBody;
        return _id(body, body.xFAM ^ 0x0000000000000003, body.tdAttributes & ~bytes8(0x00000000d0000000));
    }
}
