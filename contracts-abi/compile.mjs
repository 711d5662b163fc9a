// contracts-abi/compile.mjs - writes MeasurementRegistry.json from the Solidity sources beside it.
// usage: npm install --prefix DIR solc@0.8.37 && NODE_MODULES=DIR node contracts-abi/compile.mjs
// The settings are part of the contract's identity: another compiler or setting gives another code hash.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(process.env.NODE_MODULES ?? process.cwd(), 'x.js'));
const solc = require('solc');
const { keccak256 } = require('js-sha3'); // comes with solc

const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: 'cancun',
  metadata: { bytecodeHash: 'none' },
};
const names = ['IMeasurementRegistry.sol', 'MeasurementRegistry.sol'];
const input = {
  language: 'Solidity',
  sources: Object.fromEntries(names.map((n) => [n, { content: readFileSync(join(here, n), 'utf8') }])),
  settings: {
    ...settings,
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const e of output.errors ?? []) console.error(e.formattedMessage);
if ((output.errors ?? []).some((e) => e.severity === 'error')) process.exit(1);

const contract = output.contracts['MeasurementRegistry.sol'].MeasurementRegistry;
const hash = (hex) => '0x' + keccak256(Buffer.from(hex, 'hex'));
const creation = contract.evm.bytecode.object;
const runtime = contract.evm.deployedBytecode.object;
const result = {
  contractName: 'MeasurementRegistry',
  compiler: solc.version(),
  settings,
  abi: contract.abi,
  bytecode: '0x' + creation,
  bytecodeKeccak256: hash(creation),
  deployedBytecode: '0x' + runtime,
  deployedBytecodeKeccak256: hash(runtime),
};
writeFileSync(join(here, 'MeasurementRegistry.json'), JSON.stringify(result, null, 1) + '\n');
console.log(result.compiler, 'code hash', result.deployedBytecodeKeccak256);
