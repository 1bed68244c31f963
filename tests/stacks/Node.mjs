// Node.mjs https|fetch|worker PORT: a client of Node.js; "worker": in a thread of its own. Prints what it gets, or the error's code.
import https from 'node:https';
import { Worker, isMainThread, workerData } from 'node:worker_threads';

const [how, port] = isMainThread ? process.argv.slice(2) : workerData;
const url = `https://localhost:${port}/`;

function fail(code) {
    console.log(code);
    process.exitCode = 1;
}

if (how === 'worker')
    new Worker(new URL(import.meta.url), { workerData: ['https', port] }).on('exit', (code) => { process.exitCode = code; });
else if (how === 'fetch')
    fetch(url).then((answer) => answer.text()).then((text) => process.stdout.write(text)).catch((error) => fail(error.cause?.code));
else
    https.get(url, (answer) => answer.on('data', (data) => process.stdout.write(data))).on('error', (error) => fail(error.code));
