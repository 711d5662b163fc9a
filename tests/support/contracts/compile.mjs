// tests/support/contracts/compile.mjs - writes a NAME.json for every contract of the Solidity sources beside it.
// usage: npm install --prefix DIR solc@0.8.37 && NODE_MODULES=DIR node tests/support/contracts/compile.mjs
// Tests need only the files written: creation code to deploy, and the slots and code hashes to expect.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(process.env.NODE_MODULES ?? process.cwd(), 'x.js'));
const solc = require('solc');
const { keccak256 } = require('js-sha3'); // comes with solc

const settings = {
  optimizer: { enabled: true, runs: 200 },
  viaIR: true, // the fifteen members of a TD report are too many for the other pipeline's stack
  evmVersion: 'cancun',
  metadata: { bytecodeHash: 'none' },
};
const names = readdirSync(here).filter((n) => n.endsWith('.sol')).sort();
const sources = Object.fromEntries(names.map((n) => [n, { content: readFileSync(join(here, n), 'utf8') }]));
// tests/lint/test_contracts_test.sh compares this with the sources there are
const digest = createHash('sha256');
for (const n of names) digest.update(sources[n].content);
const sourcesSha256 = digest.digest('hex');
const wanted = ['evm.bytecode.object', 'evm.deployedBytecode.object', 'storageLayout'];
const output = JSON.parse(solc.compile(JSON.stringify({
  language: 'Solidity',
  sources,
  settings: { ...settings, outputSelection: { '*': { '*': wanted } } },
})));
for (const e of output.errors ?? []) console.error(e.formattedMessage);
if ((output.errors ?? []).some((e) => e.severity === 'error')) process.exit(1);

const hash = (hex) => '0x' + keccak256(Buffer.from(hex, 'hex'));
for (const source of names) {
  for (const [name, contract] of Object.entries(output.contracts[source])) {
    const creation = contract.evm.bytecode.object;
    const runtime = contract.evm.deployedBytecode.object;
    if (runtime === '') continue; // an interface, or abstract
    const slots = contract.storageLayout.storage.map((v) => [v.label, `slot ${v.slot} byte ${v.offset}`]);
    const result = {
      contractName: name,
      compiler: solc.version(),
      settings,
      sourcesSha256,
      storage: Object.fromEntries(slots),
      bytecode: '0x' + creation,
      deployedBytecode: '0x' + runtime,
      deployedBytecodeKeccak256: hash(runtime),
    };
    writeFileSync(join(here, `${name}.json`), JSON.stringify(result, null, 1) + '\n');
    console.log(name, runtime.length / 2, 'bytes, code hash', result.deployedBytecodeKeccak256);
  }
}
