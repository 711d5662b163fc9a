// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// Slots, calls and events of OpenZeppelin's TimelockController 5, one call an operation, roles fixed at deployment.
contract TestTimelock {
    enum OperationState {
        Unset,
        Waiting,
        Ready,
        Done
    }

    bytes32 public constant PROPOSER_ROLE = keccak256("PROPOSER_ROLE");
    bytes32 public constant EXECUTOR_ROLE = keccak256("EXECUTOR_ROLE");
    bytes32 public constant CANCELLER_ROLE = keccak256("CANCELLER_ROLE");
    uint256 private constant DONE = 1;

    mapping(bytes32 => mapping(address => bool)) private _roles; // slot 0
    mapping(bytes32 => uint256) private _timestamps; // slot 1
    uint256 private _minDelay; // slot 2

    event CallScheduled(
        bytes32 indexed id,
        uint256 indexed index,
        address target,
        uint256 value,
        bytes data,
        bytes32 predecessor,
        uint256 delay
    );
    event CallExecuted(bytes32 indexed id, uint256 indexed index, address target, uint256 value, bytes data);
    event CallSalt(bytes32 indexed id, bytes32 salt);
    event Cancelled(bytes32 indexed id);
    event MinDelayChange(uint256 oldDuration, uint256 newDuration);
    event RoleGranted(bytes32 indexed role, address indexed account, address indexed sender);

    error AccessControlUnauthorizedAccount(address account, bytes32 role);
    error TimelockInsufficientDelay(uint256 delay, uint256 minDelay);
    error TimelockUnexpectedOperationState(bytes32 id, bytes32 expectedStates);
    error TimelockUnexecutedPredecessor(bytes32 predecessor);
    error TimelockUnauthorizedCaller(address caller);

    // An executor of address zero lets everybody execute.
    constructor(uint256 minDelay, address[] memory proposers, address[] memory executors, address admin) {
        admin; // kept for the signature: nobody can change roles here
        for (uint256 i = 0; i < proposers.length; i++) {
            _grant(PROPOSER_ROLE, proposers[i]);
            _grant(CANCELLER_ROLE, proposers[i]);
        }
        for (uint256 i = 0; i < executors.length; i++) _grant(EXECUTOR_ROLE, executors[i]);
        _minDelay = minDelay;
        emit MinDelayChange(0, minDelay);
    }

    modifier onlyRole(bytes32 role) {
        if (!_roles[role][msg.sender] && !(role == EXECUTOR_ROLE && _roles[role][address(0)])) {
            revert AccessControlUnauthorizedAccount(msg.sender, role);
        }
        _;
    }

    receive() external payable {}

    function hasRole(bytes32 role, address account) external view returns (bool) {
        return _roles[role][account];
    }

    function getMinDelay() external view returns (uint256) {
        return _minDelay;
    }

    function getTimestamp(bytes32 id) public view returns (uint256) {
        return _timestamps[id];
    }

    function getOperationState(bytes32 id) public view returns (OperationState) {
        uint256 due = _timestamps[id];
        if (due == 0) return OperationState.Unset;
        if (due == DONE) return OperationState.Done;
        return due > block.timestamp ? OperationState.Waiting : OperationState.Ready;
    }

    function hashOperation(address target, uint256 value, bytes calldata data, bytes32 predecessor, bytes32 salt)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(target, value, data, predecessor, salt));
    }

    function schedule(
        address target,
        uint256 value,
        bytes calldata data,
        bytes32 predecessor,
        bytes32 salt,
        uint256 delay
    ) external onlyRole(PROPOSER_ROLE) {
        bytes32 id = hashOperation(target, value, data, predecessor, salt);
        if (_timestamps[id] != 0) revert TimelockUnexpectedOperationState(id, _only(OperationState.Unset));
        if (delay < _minDelay) revert TimelockInsufficientDelay(delay, _minDelay);
        _timestamps[id] = block.timestamp + delay;
        emit CallScheduled(id, 0, target, value, data, predecessor, delay);
        if (salt != 0) emit CallSalt(id, salt);
    }

    function cancel(bytes32 id) external onlyRole(CANCELLER_ROLE) {
        OperationState state = getOperationState(id);
        if (state != OperationState.Waiting && state != OperationState.Ready) {
            revert TimelockUnexpectedOperationState(id, _only(OperationState.Waiting) | _only(OperationState.Ready));
        }
        delete _timestamps[id];
        emit Cancelled(id);
    }

    function execute(address target, uint256 value, bytes calldata data, bytes32 predecessor, bytes32 salt)
        external
        payable
        onlyRole(EXECUTOR_ROLE)
    {
        bytes32 id = hashOperation(target, value, data, predecessor, salt);
        _wantReady(id);
        if (predecessor != 0 && _timestamps[predecessor] != DONE) revert TimelockUnexecutedPredecessor(predecessor);
        (bool ok, bytes memory answer) = target.call{value: value}(data);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        emit CallExecuted(id, 0, target, value, data);
        _wantReady(id); // the call may not have executed or cancelled it
        _timestamps[id] = DONE;
    }

    function updateDelay(uint256 delay) external {
        if (msg.sender != address(this)) revert TimelockUnauthorizedCaller(msg.sender);
        emit MinDelayChange(_minDelay, delay);
        _minDelay = delay;
    }

    function _wantReady(bytes32 id) private view {
        if (getOperationState(id) != OperationState.Ready) {
            revert TimelockUnexpectedOperationState(id, _only(OperationState.Ready));
        }
    }

    function _only(OperationState state) private pure returns (bytes32) {
        return bytes32(1 << uint8(state));
    }

    function _grant(bytes32 role, address account) private {
        _roles[role][account] = true;
        emit RoleGranted(role, account, msg.sender);
    }
}
