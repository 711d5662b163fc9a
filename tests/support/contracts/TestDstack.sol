// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import "./TestOwned.sol";

interface ITestAppAuth {
    struct AppBootInfo {
        address appId;
        bytes32 composeHash;
        address instanceId;
        bytes32 deviceId;
        bytes32 mrAggregated;
        bytes32 mrSystem;
        bytes32 osImageHash;
        string tcbStatus;
        string[] advisoryIds;
    }

    function isAppAllowed(AppBootInfo calldata info) external view returns (bool, string memory);
}

abstract contract TestDstackOwned is TestOwned, ITestAppAuth {
    event PolicyChanged(address indexed actor, bytes32 indexed policy, bytes32 indexed value, bool enabled);

    // Older contracts have no such event: those that stand for newer ones say so here.
    function _newer() internal pure virtual returns (bool);

    function _tell(string memory policy, bytes32 value, bool enabled) internal {
        if (_newer()) emit PolicyChanged(msg.sender, keccak256(bytes(policy)), value, enabled);
    }

    function _upToDate(AppBootInfo calldata info) internal pure returns (bool) {
        return keccak256(bytes(info.tcbStatus)) == keccak256("UpToDate");
    }
}

// Slots 0 to 3 are those of DstackApp; the address behind its proxy is the app's id.
abstract contract TestDstackAppBase is TestDstackOwned {
    mapping(bytes32 => bool) public allowedComposeHashes; // slot 0
    bool private _upgradesDisabled; // slot 1, byte 0
    bool public allowAnyDevice; // slot 1, byte 1
    mapping(bytes32 => bool) public allowedDeviceIds; // slot 2
    bool public requireTcbUpToDate; // slot 3, byte 0

    event ComposeHashAdded(bytes32 composeHash);
    event ComposeHashRemoved(bytes32 composeHash);
    event DeviceAdded(bytes32 deviceId);
    event DeviceRemoved(bytes32 deviceId);
    event AllowAnyDeviceSet(bool allowAny);
    event RequireTcbUpToDateSet(bool requireUpToDate);
    event UpgradesDisabled();

    // As the real one: the three switches are set without an event.
    function initialize(
        address owner_,
        bool disableUpgrades_,
        bool requireTcb,
        bool anyDevice,
        bytes32 device,
        bytes32 composeHash
    ) external initializer {
        _setOwner(owner_);
        // Nothing is written that is zero: anvil keeps such slots in the storage trie, where no real chain has them.
        if (disableUpgrades_) _upgradesDisabled = true;
        if (requireTcb) requireTcbUpToDate = true;
        if (anyDevice) allowAnyDevice = true;
        if (device != 0) _setDevice(device, true);
        if (composeHash != 0) _setComposeHash(composeHash, true);
    }

    function version() external pure returns (uint256) {
        return 2;
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x01ffc9a7 || id == 0x1e079198 || id == 0x8fd37527;
    }

    function addComposeHash(bytes32 composeHash) external onlyOwner {
        _setComposeHash(composeHash, true);
    }

    function removeComposeHash(bytes32 composeHash) external onlyOwner {
        _setComposeHash(composeHash, false);
    }

    function addDevice(bytes32 device) external onlyOwner {
        _setDevice(device, true);
    }

    function removeDevice(bytes32 device) external onlyOwner {
        _setDevice(device, false);
    }

    function setAllowAnyDevice(bool any) external onlyOwner {
        allowAnyDevice = any;
        emit AllowAnyDeviceSet(any);
        _tell("allow-any-device", 0, any);
    }

    function setRequireTcbUpToDate(bool required) external onlyOwner {
        requireTcbUpToDate = required;
        emit RequireTcbUpToDateSet(required);
        _tell("require-tcb-up-to-date", 0, required);
    }

    function disableUpgrades() external onlyOwner {
        _upgradesDisabled = true;
        emit UpgradesDisabled();
        _tell("upgrades-disabled", 0, true);
    }

    function isAppAllowed(AppBootInfo calldata info) external view returns (bool, string memory) {
        if (requireTcbUpToDate && !_upToDate(info)) return (false, "tcb status");
        if (!allowedComposeHashes[info.composeHash]) return (false, "compose hash");
        if (!allowAnyDevice && !allowedDeviceIds[info.deviceId]) return (false, "device");
        return (true, "");
    }

    function _beforeUpgrade(address implementation) internal override {
        require(!_upgradesDisabled, "upgrades are disabled");
        _tell("implementation-upgrade", bytes32(uint256(uint160(implementation))), true);
    }

    function _setComposeHash(bytes32 composeHash, bool allowed) private {
        allowedComposeHashes[composeHash] = allowed;
        if (allowed) emit ComposeHashAdded(composeHash);
        else emit ComposeHashRemoved(composeHash);
        _tell("compose-hash", composeHash, allowed);
    }

    function _setDevice(bytes32 device, bool allowed) private {
        allowedDeviceIds[device] = allowed;
        if (allowed) emit DeviceAdded(device);
        else emit DeviceRemoved(device);
        _tell("device", device, allowed);
    }
}

contract TestDstackApp is TestDstackAppBase {
    function _newer() internal pure override returns (bool) {
        return false;
    }
}

contract TestDstackAppNewer is TestDstackAppBase {
    function _newer() internal pure override returns (bool) {
        return true;
    }
}

// The KMS's storage in pieces, so that another layout can be had by putting one between.
abstract contract TestDstackKmsInfo {
    struct KmsInfo {
        bytes k256Pubkey;
        bytes caPubkey;
        bytes quote;
        bytes eventlog;
    }

    KmsInfo public kmsInfo; // slots 0 to 3
    string public gatewayAppId; // slot 4
}

abstract contract TestDstackKmsOldSlot {
    uint256 private _oldSlot;
}

abstract contract TestDstackKmsMaps {
    mapping(address => bool) public registeredApps; // slot 5
    mapping(bytes32 => bool) public kmsAllowedAggregatedMrs; // slot 6
    mapping(bytes32 => bool) public kmsAllowedDeviceIds; // slot 7
    mapping(bytes32 => bool) public allowedOsImages; // slot 8
    address public appImplementation; // slot 9
}

abstract contract TestDstackKmsBase is TestDstackOwned, TestDstackKmsInfo, TestDstackKmsMaps {
    event AppRegistered(address appId);
    event KmsAggregatedMrAdded(bytes32 mrAggregated);
    event KmsAggregatedMrRemoved(bytes32 mrAggregated);
    event KmsDeviceAdded(bytes32 deviceId);
    event KmsDeviceRemoved(bytes32 deviceId);
    event OsImageHashAdded(bytes32 osImageHash);
    event OsImageHashRemoved(bytes32 osImageHash);
    event GatewayAppIdSet(string gatewayAppId);
    event AppImplementationSet(address implementation);

    function initialize(address owner_, address implementation) external initializer {
        _setOwner(owner_);
        if (implementation != address(0)) _setAppImplementation(implementation);
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x01ffc9a7 || id == 0x1e079198;
    }

    function setGatewayAppId(string calldata id) external onlyOwner {
        gatewayAppId = id;
        emit GatewayAppIdSet(id);
        _tell("gateway-app-id", keccak256(bytes(id)), true);
    }

    function setAppImplementation(address implementation) external onlyOwner {
        _setAppImplementation(implementation);
    }

    // Anybody may, as in the real one.
    function registerApp(address appId) external {
        registeredApps[appId] = true;
        emit AppRegistered(appId);
        _tell("registered-app", bytes32(uint256(uint160(appId))), true);
    }

    function addKmsAggregatedMr(bytes32 mr) external onlyOwner {
        kmsAllowedAggregatedMrs[mr] = true;
        emit KmsAggregatedMrAdded(mr);
        _tell("kms-aggregated-mr", mr, true);
    }

    function removeKmsAggregatedMr(bytes32 mr) external onlyOwner {
        kmsAllowedAggregatedMrs[mr] = false;
        emit KmsAggregatedMrRemoved(mr);
        _tell("kms-aggregated-mr", mr, false);
    }

    function addKmsDevice(bytes32 device) external onlyOwner {
        kmsAllowedDeviceIds[device] = true;
        emit KmsDeviceAdded(device);
        _tell("kms-device", device, true);
    }

    function removeKmsDevice(bytes32 device) external onlyOwner {
        kmsAllowedDeviceIds[device] = false;
        emit KmsDeviceRemoved(device);
        _tell("kms-device", device, false);
    }

    function addOsImageHash(bytes32 image) external onlyOwner {
        allowedOsImages[image] = true;
        emit OsImageHashAdded(image);
        _tell("os-image", image, true);
    }

    function removeOsImageHash(bytes32 image) external onlyOwner {
        allowedOsImages[image] = false;
        emit OsImageHashRemoved(image);
        _tell("os-image", image, false);
    }

    function isKmsAllowed(AppBootInfo calldata info) external view returns (bool, string memory) {
        if (!_upToDate(info)) return (false, "tcb status");
        if (!allowedOsImages[info.osImageHash]) return (false, "os image");
        if (!kmsAllowedAggregatedMrs[info.mrAggregated]) return (false, "aggregated mr");
        if (!kmsAllowedDeviceIds[info.deviceId]) return (false, "kms device");
        return (true, "");
    }

    function isAppAllowed(AppBootInfo calldata info) external view returns (bool, string memory) {
        if (!registeredApps[info.appId]) return (false, "app");
        if (!allowedOsImages[info.osImageHash]) return (false, "os image");
        if (info.appId.code.length == 0) return (false, "no code");
        return ITestAppAuth(info.appId).isAppAllowed(info);
    }

    function _beforeUpgrade(address implementation) internal override {
        _tell("implementation-upgrade", bytes32(uint256(uint160(implementation))), true);
    }

    function _setAppImplementation(address implementation) private {
        appImplementation = implementation;
        emit AppImplementationSet(implementation);
        _tell("app-implementation", bytes32(uint256(uint160(implementation))), true);
    }
}

contract TestDstackKms is TestDstackKmsBase {
    function _newer() internal pure override returns (bool) {
        return true;
    }
}

// The same calls over other slots: whoever proves by slot must look at the code first.
contract TestDstackKmsOldLayout is
    TestDstackKmsInfo,
    TestDstackKmsOldSlot,
    TestDstackKmsMaps,
    TestDstackKmsBase
{
    function _newer() internal pure override returns (bool) {
        return false;
    }
}
