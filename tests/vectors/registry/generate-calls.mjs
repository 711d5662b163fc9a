// tests/vectors/registry/generate-calls.mjs - writes calls.json: what a registry and its Safe are told, encoded by ethers.
// usage: npm install --prefix DIR ethers@6.17.0 && NODE_MODULES=DIR node tests/vectors/registry/generate-calls.mjs
// The texts of the functions are written here a second time, from the interface, not taken from our ABI file.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(process.env.NODE_MODULES ?? process.cwd(), 'x.js'));
const { ethers } = require('ethers');

const A = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';
const B = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const ZERO = ethers.ZeroAddress;
const MAX64 = 18446744073709551615n;
const registry = new ethers.Interface([
  'constructor(address owner_, address guardian_, uint64 minDelay_)',
  'function approve((uint64 version,uint64 notBefore,uint64 notAfter,uint16 payloadFormat,uint32 payloadSize,bytes32 payloadHash,string uri) draft, bytes onChain)',
  'function revoke(uint64 id, uint32 reason)',
  'function shorten(uint64 id, uint64 notAfter)',
  'function prune(uint64 id)',
  'function heartbeat(uint64 validUntil)',
  'function raiseMinDelay(uint64 minDelay)',
  'function setGuardian(address guardian)',
  'function transferOwnership(address newOwner)',
  'function acceptOwnership()',
  'error NotAuthorized(address caller)',
  'error UnknownRelease(uint64 id)',
  'error NotLive(uint64 id)',
  'error TooManyLive(uint256 limit)',
  'error VersionNotIncreasing(uint64 last, uint64 given)',
  'error BadWindow(uint64 notBefore, uint64 notAfter, uint64 earliest)',
  'error BadPayload(uint16 format, uint256 size)',
  'error BadPayloadHash(bytes32 expected, bytes32 got)',
  'error BadValue(uint256 value)',
]);
const text = (v) => JSON.parse(JSON.stringify(v, (_, x) => (typeof x === 'bigint' ? x.toString() : x)));

const cases = [];
const code = JSON.parse(readFileSync(join(here, '../../../contracts-abi/MeasurementRegistry.json'), 'utf8')).bytecode;
for (const [owner, guardian, delay] of [[A, B, 172800n], [B, ZERO, 0n], [A, A, 2592000n]]) {
  const init = code + registry.encodeDeploy([owner, guardian, delay]).slice(2);
  cases.push({ kind: 'deploy', owner, guardian, minDelay: delay, bytes: (init.length - 2) / 2, keccak: ethers.keccak256(init) });
}
const call = (name, args) => cases.push({ kind: 'call', name, args, data: registry.encodeFunctionData(name, args) });
for (const [id, reason] of [[1n, 0n], [7n, 3n], [MAX64, 4294967295n]]) call('revoke', [id, reason]);
call('shorten', [3n, 1770604908n]);
call('prune', [9n]);
call('heartbeat', [0n]);
call('heartbeat', [1777776133n]);
call('raiseMinDelay', [172800n]);
call('setGuardian', [B]);
call('setGuardian', [ZERO]);
call('transferOwnership', [A]);
call('acceptOwnership', []);
const payloads = ['5b5d', Buffer.from('a measurement document of some length, beyond a word').toString('hex'), '00'.repeat(64)];
const uris = ['', 'https://measurements.example/v1.json', 'https://a.example/' + 'r'.repeat(230)];
for (const payload of payloads)
  for (const uri of uris)
    for (const onChain of [true, false]) {
      if (!onChain && uri === '') continue;
      const bytes = '0x' + payload;
      const draft = [281474976710656n + BigInt(cases.length), 1770000024n, uri === '' ? 0n : 1801708836n,
        payload.startsWith('00') ? 2n : 1n, BigInt(payload.length / 2), ethers.sha256(bytes), uri];
      cases.push({ kind: 'approve', version: draft[0], notBefore: draft[1], notAfter: draft[2], format: draft[3], uri, onChain,
        payload: bytes, data: registry.encodeFunctionData('approve', [draft, onChain ? bytes : '0x']) });
    }
for (const [name, args, words] of [
  ['NotAuthorized', [B], B], ['UnknownRelease', [12n], '12'], ['NotLive', [3n], '3'], ['TooManyLive', [32n], '32'],
  ['VersionNotIncreasing', [5n, 4n], '5 4'], ['BadWindow', [1770000024n, 0n, 1770000099n], '1770000024 0 1770000099'],
  ['BadPayload', [1n, 25000n], '1 25000'], ['BadPayloadHash', [ethers.id('a'), ethers.id('b')], ethers.id('b')], ['BadValue', [0n], '0'],
]) cases.push({ kind: 'error', name, words, data: registry.encodeErrorResult(name, args) });

// Transactions of a Safe.
const types = { SafeTx: [['address', 'to'], ['uint256', 'value'], ['bytes', 'data'], ['uint8', 'operation'], ['uint256', 'safeTxGas'],
  ['uint256', 'baseGas'], ['uint256', 'gasPrice'], ['address', 'gasToken'], ['address', 'refundReceiver'], ['uint256', 'nonce']]
  .map(([type, name]) => ({ type, name })) };
const safe = new ethers.Interface(['function execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)']);
const keys = ['a1', 'b2', 'c3'].map((x) => new ethers.SigningKey('0x' + x.repeat(32)));
const address = (key) => ethers.computeAddress(key.publicKey);
for (const [chainId, change] of [[1n, {}], [11155111n, { nonce: 41n }], [10n, { operation: 1n, value: 5n, safeTxGas: 6n, baseGas: 7n,
  gasPrice: 8n, gasToken: A, refundReceiver: B, nonce: MAX64 }], [1n, { data: '0x' }]]) {
  const tx = { to: B, value: 0n, data: registry.encodeFunctionData('revoke', [1n, 1n]), operation: 0n, safeTxGas: 0n, baseGas: 0n,
    gasPrice: 0n, gasToken: ZERO, refundReceiver: ZERO, nonce: 0n, ...change };
  const domain = { chainId, verifyingContract: A };
  const hash = ethers.TypedDataEncoder.hash(domain, types, tx);
  const signers = [...keys].sort((x, y) => (address(x).toLowerCase() < address(y).toLowerCase() ? -1 : 1));
  const signatures = signers.map((key) => key.sign(hash).serialized);
  const exec = safe.encodeFunctionData('execTransaction', [tx.to, tx.value, tx.data, tx.operation, tx.safeTxGas, tx.baseGas, tx.gasPrice,
    tx.gasToken, tx.refundReceiver, ethers.concat(signatures)]);
  cases.push({ kind: 'safe-tx', chainId, safe: A, tx, hash, signers: signers.map(address), signatures, exec });
}

// Transactions of an account.
for (const [to, data, nonce, chainId] of [[A, '0x79ba5097', 0, 1n], [null, '0x6000', 5, 31337n], [B, '0x' + 'ab'.repeat(300), 128, 11155111n]]) {
  const tx = ethers.Transaction.from({ type: 2, to, data, nonce, chainId, value: nonce === 5 ? 7n : 0n, gasLimit: 100000n + BigInt(nonce),
    maxFeePerGas: 30000000000n, maxPriorityFeePerGas: 1000000000n });
  const digest = tx.unsignedHash;
  tx.signature = keys[0].sign(digest);
  cases.push({ kind: 'transaction', chainId, nonce, to, value: tx.value, data, gas: tx.gasLimit, maxFee: tx.maxFeePerGas,
    maxPriorityFee: tx.maxPriorityFeePerGas, digest, raw: tx.serialized, hash: tx.hash, sender: address(keys[0]),
    created: ethers.getCreateAddress({ from: address(keys[0]), nonce }) });
}

// Checksums of files for Safe's Transaction Builder: Keccak-256 of a text in which an object is its sorted names as a JSON
// array and then each value with a comma, between braces, and the name of the file is null.
const flat = (v) => Array.isArray(v) ? '[' + v.map(flat).join(',') + ']'
  : v !== null && typeof v === 'object'
    ? '{' + JSON.stringify(Object.keys(v).sort()) + Object.keys(v).sort().map((k) => flat(v[k]) + ',').join('') + '}'
    : JSON.stringify(v);
for (const n of [1, 2]) {
  const file = { version: '1.0', chainId: n === 1 ? '1' : '11155111', createdAt: 1770000000000 + n,
    meta: { name: 'a name', description: 'words "in quotes"', txBuilderVersion: '1.16.5', createdFromSafeAddress: n === 1 ? A : '', createdFromOwnerAddress: '' },
    transactions: Array.from({ length: n }, (_, i) => ({ to: B, value: '0', data: registry.encodeFunctionData('prune', [BigInt(i)]),
      contractMethod: null, contractInputsValues: null })) };
  const checksum = ethers.id(flat({ ...file, meta: { ...file.meta, name: null } }));
  cases.push({ kind: 'builder', file: { ...file, meta: { ...file.meta, checksum } } });
}
writeFileSync(join(here, 'calls.json'), JSON.stringify({ about: 'calls of a measurement registry and of the Safe that owns it; ethers ' +
  ethers.version, count: cases.length, cases: text(cases) }, null, 1) + '\n');
