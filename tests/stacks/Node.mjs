// Node.mjs HOW PORT [NAME=VALUE...]: a client of Node.js, that asks localhost for /secret. Prints what it gets, or the error's code.
// https, fetch, http2, tls; worker: https in a thread of its own; cluster, fork: in a process of its own
// agent: three requests by one agent, and whether each has resumed a session; session=FILE: one that resumes the session in FILE, or writes it there
// context: with a context of the program's own
// psk: a pre-shared key, and no certificate; both: a server in the same process, which is not pinned, and then the client
// connect: through the proxy at proxy=PORT, which is asked in plain text; within: which is asked in TLS; sni=no: without a name
// addon=FILE: a module in C that uses Node's OpenSSL
import cluster from 'node:cluster';
import child_process from 'node:child_process';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { createRequire } from 'node:module';
import tls from 'node:tls';
import { Worker, isMainThread, workerData } from 'node:worker_threads';

const words = isMainThread ? process.argv.slice(2) : workerData;
const [how, port] = words;
const option = (name) => words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
const request = 'GET /secret HTTP/1.0\r\n\r\n';
const more = { minVersion: option('version'), maxVersion: option('version'), ciphers: option('ciphers') };

function fail(error) {
    console.log(error.code ?? error);
    process.exitCode = 1;
}

function get(options = {}) {
    return new Promise((done) => {
        const asked = https.get({ host: 'localhost', port, path: '/secret', ...more, ...options }, (answer) => {
            const reused = asked.socket.isSessionReused();
            answer.on('data', (data) => process.stdout.write(data)).on('end', () => done(reused));
        });
        asked.on('error', (error) => { fail(error); done(false); });
    });
}

// Asks over a connection that may not be there yet.
function ask(connection) {
    return new Promise((done) => {
        connection.on('data', (data) => process.stdout.write(data)).on('error', fail).on('close', done);
        connection.write(request);
    });
}

function open(options = {}, ready = undefined) {
    return tls.connect({ host: 'localhost', port, servername: 'localhost', ...more, ...options }, ready);
}

const ways = {
    https: () => get(),
    fetch: () => fetch(`https://localhost:${port}/secret`).then((answer) => answer.text()).then((text) => process.stdout.write(text))
        .catch((error) => fail(error.cause)),
    tls: () => ask(open()),
    http2: () => new Promise((done) => {
        const session = http2.connect(`https://localhost:${port}`, more).on('error', (error) => { fail(error); done(); });
        const stream = session.request({ ':path': '/secret' });
        stream.on('data', (data) => process.stdout.write(data)).on('end', () => { session.close(); done(); }).on('error', () => {});
    }),
    worker: () => new Worker(new URL(import.meta.url), { workerData: ['https', ...words.slice(1)] })
        .on('exit', (code) => { process.exitCode = code; }),
    cluster: () => {
        if (cluster.isPrimary)
            cluster.fork().on('exit', (code) => { process.exitCode = code; });
        else
            get().then(() => process.exit());
    },
    fork: () => child_process.fork(new URL(import.meta.url), ['https', ...words.slice(1)])
        .on('exit', (code) => { process.exitCode = code; }),
    async agent() {
        const agent = new https.Agent({ maxCachedSessions: 9 });
        for (let i = 0; i < 3; i++)
            console.log(`reused: ${await get({ agent, headers: { connection: 'close' } })}`);
    },
    async session() {
        const file = option('session');
        const session = fs.existsSync(file) ? fs.readFileSync(file) : undefined;
        const connection = open({ session });
        connection.on('session', (made) => fs.writeFileSync(file, made));
        connection.on('secureConnect', () => console.log(`reused: ${connection.isSessionReused()}`));
        await ask(connection);
    },
    context: () => ask(open({ secureContext: tls.createSecureContext({ ciphers: 'DEFAULT@SECLEVEL=0', ...more }) })),
    psk: () => ask(open({ maxVersion: 'TLSv1.2', ciphers: 'PSK', checkServerIdentity() {},
        pskCallback: () => ({ psk: Buffer.from('0123456789abcdef', 'hex'), identity: 'me' }) })),
    both: () => {
        const server = tls.createServer({ key: fs.readFileSync(option('key')), cert: fs.readFileSync(option('cert')), requestCert: true,
            rejectUnauthorized: false }, (peer) => peer.end(`served ${peer.getProtocol()}\n`));
        server.listen(0, '127.0.0.1', () => {
            const other = tls.connect({ port: server.address().port, host: '127.0.0.1', servername: 'other.example', checkServerIdentity() {} });
            other.on('data', (data) => process.stdout.write(data)).on('error', fail).on('close', () => { server.close(); get(); });
        });
    },
    within: () => {
        const outer = tls.connect({ host: 'localhost', port: option('proxy'), servername: 'proxy.example', checkServerIdentity() {} }, () => {
            outer.write(`CONNECT localhost:${port} HTTP/1.1\r\n\r\n`);
            outer.once('data', () => ask(tls.connect({ socket: outer, servername: option('sni') ? '' : 'localhost', ...more })));
        });
        outer.on('error', fail);
    },
    connect: () => {
        const plain = net.connect(option('proxy'), '127.0.0.1', () => {
            plain.write(`CONNECT localhost:${port} HTTP/1.1\r\n\r\n`);
            plain.once('data', () => ask(tls.connect({ socket: plain, ...more })));
        });
    },
    addon: () => createRequire(import.meta.url)(option('addon')),
};

await ways[how]();
