// tests/support/wallets/wallets.mjs - what wallets make of our typed data: ethers and viem, side by side.
//
//   wallets.mjs make N SEED            N lines {doc, signers, key} for release_batch: random sets, one
//                                      signature by ethers and one by viem
//   wallets.mjs check INPUT OUTPUT     what release_batch made of them: typed data and signatures, both libraries
//   wallets.mjs sign LIBRARY KEY TYPED.json     prints the signature of typed data
//   wallets.mjs hash TYPED.json                 prints its digest, which both libraries must agree about
import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { TypedDataEncoder, Wallet, verifyTypedData } from 'ethers';
import { hashTypedData, recoverTypedDataAddress } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const fail = (words) => {
  console.error(`wallets: ${words}`);
  process.exit(1);
};
const must = (ok, words) => ok || fail(words);

// ---- the libraries, each from the whole of a typed data document ----
const split = (typed) => {
  const { EIP712Domain, ...types } = typed.types; // ethers derives it from the domain
  must(EIP712Domain !== undefined, 'typed data without EIP712Domain');
  return [typed.domain, types, typed.message];
};
const ethersHash = (typed) => TypedDataEncoder.hash(...split(typed));
const ethersRecover = (typed, signature) => {
  try {
    return verifyTypedData(...split(typed), signature);
  } catch {
    return undefined;
  }
};
const viemRecover = async (typed, signature) => {
  try {
    return await recoverTypedDataAddress({ ...typed, signature });
  } catch {
    return undefined;
  }
};
const signers = {
  ethers: (key, typed) => new Wallet(key).signTypedData(...split(typed)),
  viem: (key, typed) => privateKeyToAccount(key).signTypedData(typed),
};

// ---- random sets, the same for the same seed ----
let counter = 0;
let seed = '0';
const bytes = (n) => {
  let out = Buffer.alloc(0);
  while (out.length < n)
    out = Buffer.concat([out, createHash('sha256').update(`${seed}/${counter++}`).digest()]);
  return out.subarray(0, n);
};
const below = (n) => Number(bytes(6).readUIntBE(0, 6) % n);
const hex = (n) => '0x' + bytes(n).toString('hex');
// Of any size, the largest ones often enough.
const uint = (bits) => {
  const all = (1n << BigInt(bits)) - 1n;
  return below(8) === 0 ? all : BigInt(hex(bits / 8)) >> BigInt(below(bits));
};
const words = ['', 'a', 'build\u00e9rnet', '\u{1f512}', '"\\\n\t', 'x'.repeat(256), 'with space', '\u0001'];
const uris = ['', 'https://a.example/m.json', 'https://b.example/?q="\\', 'https://c.example/' + '~'.repeat(200)];
// JSON readers keep integers up to 2^53: above they are strings, below either.
const json = (n) => (n > BigInt(Number.MAX_SAFE_INTEGER) || below(4) === 0 ? n.toString() : Number(n));

const rising = (n) => {
  const all = new Set();
  while (all.size < n) all.add(uint(64));
  return [...all].sort((a, b) => (a < b ? -1 : 1));
};
const randomSet = () => {
  const n = [0, 1, 1, 2, 3, 5][below(6)];
  const ids = rising(n);
  const versions = rising(n);
  const issued = uint(64) >> 1n;
  return {
    app: words[below(words.length)],
    sequence: json(uint(64)),
    issuedAt: json(issued),
    validUntil: json(issued + 1n + (uint(64) >> 1n)),
    previous: below(3) === 0 ? '0x' + '0'.repeat(64) : hex(32),
    releases: ids.map((id, i) => {
      const begin = uint(64) >> 1n;
      return {
        id: json(id),
        version: json(versions[i]),
        notBefore: json(begin),
        notAfter: below(2) === 0 ? 0 : json(begin + 1n + (uint(64) >> 1n)),
        approvedSeq: json(uint(64)),
        payloadFormat: Number(uint(16)),
        payloadSize: Number(uint(32)),
        payloadHash: hex(32),
        uri: uris[below(uris.length)],
      };
    }),
  };
};

// Written here by hand, from ethereum.md 5.1, and not taken from what is tested.
const member = (text) => {
  const [type, name] = text.split(' ');
  return { name, type };
};
const types = {
  EIP712Domain: ['string name', 'string version', 'bytes32 salt'].map(member),
  ReleaseSet: ['string app', 'uint64 sequence', 'uint64 issuedAt', 'uint64 validUntil', 'bytes32 previous',
    'Release[] releases'].map(member),
  Release: ['uint64 id', 'uint64 version', 'uint64 notBefore', 'uint64 notAfter', 'uint64 approvedSeq',
    'uint16 payloadFormat', 'uint32 payloadSize', 'bytes32 payloadHash', 'string uri'].map(member),
};
const typedOf = (set) => ({
  types,
  domain: { name: 'measured release set', version: '1', salt: TypedDataEncoder.from({ S: [{ name: 's', type: 'string' }] })
    .getEncoder('string')(set.app) }, // a string's word is its Keccak-256
  primaryType: 'ReleaseSet',
  message: set,
});

async function make(n) {
  for (let i = 0; i < n; i++) {
    const set = randomSet();
    const typed = typedOf(set);
    const keys = [hex(32), hex(32)];
    const made = [];
    for (const [at, library] of [[0, 'ethers'], [1, 'viem']])
      made.push({
        signer: new Wallet(keys[at]).address,
        scheme: 'eip712',
        signature: await signers[library](keys[at], typed),
      });
    const doc = { type: 'measured-release-set/1', set, signatures: made };
    console.log(JSON.stringify({ doc, signers: made.map((s) => s.signer), key: hex(32).slice(2) }));
  }
}

// One bit of a hex text.
const flipHex = (text, bit) => {
  const b = Buffer.from(text.slice(2), 'hex');
  b[bit >> 3] ^= 1 << (bit & 7);
  return '0x' + b.toString('hex');
};

async function check(inputFile, outputFile) {
  const lines = (file) => readFileSync(file, 'utf8').trim().split('\n').map((l) => JSON.parse(l));
  const input = lines(inputFile);
  const output = lines(outputFile);
  must(input.length === output.length, `${input.length} lines in, ${output.length} out`);
  for (const [i, { digest, signature, signer, typed }] of output.entries()) {
    const theirs = typedOf(input[i].doc.set);
    must(ethersHash(theirs) === digest, `set ${i}: ethers has another digest`);
    must(hashTypedData(theirs) === digest, `set ${i}: viem has another digest`);
    must(ethersHash(typed) === digest, `set ${i}: our typed data has another digest for ethers`);
    must(hashTypedData(typed) === digest, `set ${i}: our typed data has another digest for viem`);
    must(signer === new Wallet('0x' + input[i].key).address, `set ${i}: another signer`);
    must(ethersRecover(typed, signature) === signer, `set ${i}: ethers refuses our signature`);
    must((await viemRecover(typed, signature)) === signer, `set ${i}: viem refuses our signature`);
    // Turn by turn, for the sake of time. Bits of r and s: of v ethers takes any number of the same parity, for the
    // chain ids of EIP-155.
    const [name, recover] = i % 2 === 0 ? ['ethers', ethersRecover] : ['viem', viemRecover];
    const bad = flipHex(signature, below(64 * 8));
    must((await recover(typed, bad)) !== signer, `set ${i}: ${name} takes a flipped signature`);
    const other = { ...typed, message: { ...typed.message, previous: flipHex(typed.message.previous, below(256)) } };
    must((await recover(other, signature)) !== signer, `set ${i}: ${name} takes it for another message`);
  }
  console.log(`${output.length} sets`);
}

const [verb, ...args] = process.argv.slice(2);
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));
if (verb === 'make') {
  seed = args[1];
  await make(Number(args[0]));
} else if (verb === 'check') {
  await check(args[0], args[1]);
} else if (verb === 'sign') {
  console.log(await signers[args[0]](args[1], read(args[2])));
} else if (verb === 'hash') {
  const typed = read(args[0]);
  must(ethersHash(typed) === hashTypedData(typed), 'ethers and viem disagree');
  console.log(ethersHash(typed));
} else {
  fail('make N SEED | check INPUT OUTPUT | sign LIBRARY KEY TYPED | hash TYPED');
}
