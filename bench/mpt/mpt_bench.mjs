// bench/mpt/mpt_bench.mjs - the same work as bench/mpt_bench.c with npm's @ethereumjs/mpt: account proof, the
// account's claims, storage proof, the value's claim. From the parsed JSON, as there.
//   node mpt_bench.mjs VECTOR.json SECONDS        prints nanoseconds of processor time a verification
import { readFileSync } from 'node:fs';
import { verifyMerkleProof } from '@ethereumjs/mpt';
import { bytesToHex, createAccountFromRLP, hexToBytes, setLengthLeft } from '@ethereumjs/util';
import { RLP } from '@ethereumjs/rlp';

const vector = JSON.parse(readFileSync(process.argv[2]));
const seconds = Number(process.argv[3]);
const root = hexToBytes(vector.headerJSON.stateRoot);
const key = new Uint8Array(32);

function require(condition, what) {
  if (!condition) throw new Error(what);
}

async function verify(proof) {
  const nodes = proof.accountProof.map(hexToBytes);
  const leaf = await verifyMerkleProof(hexToBytes(proof.address), nodes, { root, useKeyHashing: true });
  const account = createAccountFromRLP(leaf);
  require(bytesToHex(account.codeHash) === proof.codeHash, 'codeHash');
  require(bytesToHex(account.storageRoot) === proof.storageHash, 'storageHash');
  require(account.balance === BigInt(proof.balance), 'balance');
  require(account.nonce === BigInt(proof.nonce), 'nonce');
  const slot = proof.storageProof[0];
  const value = await verifyMerkleProof(key, slot.proof.map(hexToBytes), {
    root: account.storageRoot,
    useKeyHashing: true,
  });
  require(bytesToHex(setLengthLeft(RLP.decode(value), 32)) === vector.commitment, 'value');
}

function cpuNs() {
  const { user, system } = process.cpuUsage(); // microseconds
  return (user + system) * 1000;
}

async function run(ms) {
  const start = cpuNs();
  let n = 0;
  while (cpuNs() - start < ms * 1e6) {
    for (let i = 0; i < 50; i++) await verify(vector.proof);
    n += 50;
  }
  return (cpuNs() - start) / n;
}

// It must refuse what does not verify, or the comparison means nothing.
const bad = structuredClone(vector.proof);
const nodes = bad.storageProof[0].proof;
nodes[nodes.length - 1] = nodes[nodes.length - 1].slice(0, -1) + '0';
let refused = false;
await verify(bad).catch(() => { refused = true; });
require(refused || nodes[nodes.length - 1] === vector.proof.storageProof[0].proof.at(-1), 'took a bad proof');
await run(1000); // the compiler warms up
console.log(Math.round(await run(seconds * 1000)));
