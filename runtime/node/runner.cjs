// The Node runner: serves handler.js over HTTP/1.1 on the socket it inherits
// (docs/function-contract.md).   node runner.cjs   (in the function's folder; Node 18 or newer)
//
// Handlers are those of the OpenFaaS node templates: `module.exports = async (event, context)` or
// `(event, context, callback)`, as CommonJS or as an ES module. What they return is the answer:
// a string, a Buffer, an object (sent as JSON), or a stream or async generator (sent as it comes).
'use strict';

const http = require('node:http');

const kHeadBytesMax = 1 << 20; // as the daemon's limit for all header fields together
const kBodyBytesMax = 32 << 20; // FATHOM_BODY_MAX overrules it
const kTemplateBytesMax = '100kb'; // of the templates: MAX_RAW_SIZE and MAX_JSON_SIZE
const kQuietMs = 50; // while draining: how long a connection may still begin a request

const kHtml = 'text/html; charset=utf-8'; // what Express says, which the templates run on
const kText = 'text/plain; charset=utf-8';
const kJson = 'application/json; charset=utf-8';

// A request that is answered with `status` and `message` instead of being given to the handler.
class Refused extends Error {
    constructor(status, message) {
        super(message);
        this.status = status;
    }
}

// ---- settings -------------------------------------------------------------------------------

function give_up(message) {
    process.stderr.write(`fathom: ${message}\n`);
    process.exit(1);
}

function number(name, fallback) {
    const text = process.env[name];
    if (!text) return fallback;
    if (!/^[0-9]+$/.test(text)) give_up(`${name}=${JSON.stringify(text)} must be a number, 0 or more`);
    return Number(text) || fallback;
}

// "100kb", "2mb" or bytes, as in the templates.
function byte_size(name, fallback) {
    const text = process.env[name] || fallback;
    const match = /^([0-9]+(?:\.[0-9]+)?)\s*(b|kb|mb|gb)?$/i.exec(text);
    if (!match) give_up(`${name}=${JSON.stringify(text)} must be a size such as 100kb, 2mb or 4096`);
    const unit = { b: 0, kb: 10, mb: 20, gb: 30 }[(match[2] || 'b').toLowerCase()];
    return Math.floor(Number(match[1]) * 2 ** unit);
}

function settings() {
    return {
        concurrency: number('FATHOM_CONCURRENCY', Infinity),
        body_bytes_max: number('FATHOM_BODY_MAX', kBodyBytesMax),
        raw_body: process.env.RAW_BODY === 'true',
        raw_bytes_max: byte_size('MAX_RAW_SIZE', kTemplateBytesMax),
        json_bytes_max: byte_size('MAX_JSON_SIZE', kTemplateBytesMax),
    };
}

// Where to listen: the inherited descriptor, or a path to create.
function listen_options() {
    const fd = number('FATHOM_LISTEN_FD', process.env.LISTEN_FDS ? 3 : 0);
    if (fd) return { fd };
    if (process.env.FATHOM_LISTEN) return { path: process.env.FATHOM_LISTEN };
    return give_up('FATHOM_LISTEN_FD (an inherited listening socket) or FATHOM_LISTEN (a path) must be set');
}

// ---- what a handler sees --------------------------------------------------------------------

class FunctionEvent {
    constructor(request, body) {
        const [path, query] = split_target(request.url);
        this.body = body;
        this.headers = request.headers;
        this.method = request.method;
        this.path = path;
        this.query_string = query;
    }

    get query() {
        const value = require('node:querystring').parse(this.query_string);
        Object.defineProperty(this, 'query', { value, enumerable: true });
        return value;
    }
}

function split_target(url) {
    const mark = url.indexOf('?');
    return mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
}

class FunctionContext {
    #status = 0;
    #headers = {};
    #done;

    constructor(done) {
        this.#done = done;
    }

    status(code) {
        if (code === undefined) return this.#status || 200;
        this.#status = code;
        return this;
    }

    headers(fields) {
        if (fields === undefined) return this.#headers;
        this.#headers = fields;
        return this;
    }

    succeed(value) {
        this.#done(undefined, value);
    }

    fail(value) {
        if (!this.#status) this.#status = 500;
        this.#done(value === undefined ? 'the function failed' : value);
    }
}

// The body as the template gives it: JSON parsed, forms parsed, text as string, all else a Buffer.
// Without a type it is text if it can be.
function parsed_body(type, bytes) {
    if (type === 'application/json' || type.endsWith('+json')) {
        if (bytes.length === 0) return {};
        try {
            return JSON.parse(bytes.toString());
        } catch (error) {
            throw new Refused(400, `the body is no JSON: ${error.message}`);
        }
    }
    if (type === 'application/x-www-form-urlencoded') {
        return require('node:querystring').parse(bytes.toString());
    }
    const is_text = type === '' ? require('node:buffer').isUtf8(bytes) : type.startsWith('text/');
    return is_text ? bytes.toString() : bytes;
}

function body_limit(type, options) {
    const limits = [['FATHOM_BODY_MAX', options.body_bytes_max]];
    if (options.raw_body) limits.push(['MAX_RAW_SIZE', options.raw_bytes_max]);
    else if (type === 'application/json') limits.push(['MAX_JSON_SIZE', options.json_bytes_max]);
    return limits.reduce((low, other) => (other[1] < low[1] ? other : low));
}

function read_body(request, [name, limit]) {
    const too_large = () => new Refused(413, `the body is larger than ${limit} bytes (${name} of the function)`);
    if (Number(request.headers['content-length']) > limit) return Promise.reject(too_large());
    return new Promise((resolve, reject) => {
        const parts = [];
        let total = 0;
        request.on('data', (part) => {
            total += part.length;
            if (total > limit) return reject(too_large());
            parts.push(part);
        });
        request.on('end', () => resolve(parts.length === 1 ? parts[0] : Buffer.concat(parts)));
        request.on('error', reject);
    });
}

// ---- one call -------------------------------------------------------------------------------

// Resolves to {status, headers, value}, whichever of the template's ways the handler takes.
function invoke(handler, event) {
    return new Promise((resolve) => {
        const done = (error, value) => {
            if (error === undefined || error === null) {
                return resolve({ status: context.status(), headers: context.headers(), value });
            }
            console.error(error);
            const status = context.status() >= 400 ? context.status() : 500;
            resolve({ status, headers: context.headers(), value: String(error) });
        };
        const context = new FunctionContext(done);
        // With a third parameter the handler may still call back after it returned nothing.
        const may_call_back = handler.length >= 3;
        const returned = (value) => {
            if (!may_call_back || value !== undefined) done(undefined, value);
        };
        try {
            Promise.resolve(handler(event, context, done)).then(returned, (e) => done(e ?? 'rejected'));
        } catch (error) {
            done(error ?? 'thrown');
        }
    });
}

// The bytes of a value and their type; null for a value that must be streamed.
function encoded(value) {
    if (value === undefined || value === null) return [Buffer.alloc(0), kHtml];
    if (typeof value === 'string') return [Buffer.from(value), kHtml];
    if (value instanceof Uint8Array) return [value, 'application/octet-stream'];
    if (typeof value === 'object') {
        if (value[Symbol.asyncIterator]) return null;
        return [Buffer.from(JSON.stringify(value)), kJson];
    }
    return [Buffer.from(String(value)), kHtml];
}

async function send_result(request, response, { status, headers, value }) {
    const whole = encoded(value);
    response.statusCode = Number(status);
    for (const [name, field] of Object.entries(headers)) {
        if (!/^(content-length|transfer-encoding|connection)$/i.test(name)) response.setHeader(name, field);
    }
    if (whole) {
        const [bytes, type] = whole;
        if (!response.hasHeader('content-type')) response.setHeader('Content-Type', type);
        if (status !== 204 && status !== 304) response.setHeader('Content-Length', bytes.length);
        return void response.end(request.method === 'HEAD' ? undefined : bytes);
    }
    response.flushHeaders();
    for await (const part of value) {
        if (response.destroyed) return;
        if (!response.write(part)) await writable_again(response);
    }
    response.end();
}

function writable_again(response) {
    return new Promise((resolve) => {
        response.once('drain', resolve);
        response.once('close', resolve);
    });
}

function send_text(response, status, text) {
    response.statusCode = status;
    response.setHeader('Content-Type', kText);
    response.end(`${text}\n`);
}

async function call(handler, options, request, response) {
    const type = (request.headers['content-type'] || '').split(';')[0].trim().toLowerCase();
    const bytes = await read_body(request, body_limit(type, options));
    const event = new FunctionEvent(request, options.raw_body ? bytes : parsed_body(type, bytes));
    await send_result(request, response, await invoke(handler, event));
}

// A Refused answers with its status; anything else is the function's fault.
function answer_error(request, response, error) {
    if (request.destroyed && !request.complete) return; // the caller went away
    if (!(error instanceof Refused)) console.error(error);
    if (response.headersSent) return void response.destroy(); // the caller sees that it is not whole
    if (error instanceof Refused || !request.complete) response.shouldKeepAlive = false;
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    if (error instanceof Refused) send_text(response, error.status, error.message);
    else send_text(response, 500, 'the function failed; its log has the error');
}

// ---- serving --------------------------------------------------------------------------------

// llhttp is strict; what it lets pass is refused here.
function check_head(request) {
    if (request.httpVersionMajor !== 1) throw new Refused(505, 'only HTTP/1.1 is spoken here');
    let hosts = 0;
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
        const name = request.rawHeaders[i];
        if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
    }
    if (hosts > 1) throw new Refused(400, 'Host is given twice');
    if (!request.url.startsWith('/')) throw new Refused(400, 'the request target must be a path');
    const coding = request.headers['transfer-encoding'];
    if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
        throw new Refused(400, 'the only Transfer-Encoding accepted is chunked');
    }
}

class Server {
    constructor(options) {
        this.options = options;
        this.handler = null;
        this.in_flight = 0;
        this.waiting = []; // requests beyond the concurrency, in order of arrival
        this.draining = false;
        this.http = http.createServer(
            // The daemon keeps connections and deadlines; the runner closes nothing by itself.
            { maxHeaderSize: kHeadBytesMax, keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 },
            (request, response) => this.take(request, response),
        );
    }

    take(request, response) {
        if (this.draining) {
            response.shouldKeepAlive = false;
            this.leave_when_quiet();
        }
        const path = request.url.split('?')[0];
        if (path === '/_/ready' || path === '/_/health') return this.answer_own(path, request, response);
        if (this.in_flight < this.options.concurrency) this.start(request, response);
        else this.waiting.push([request, response]);
    }

    start(request, response) {
        this.in_flight += 1;
        const ended = new Promise((resolve) => response.once('close', resolve));
        this.serve(request, response)
            .catch((error) => answer_error(request, response, error))
            .then(() => ended)
            .then(() => this.next());
    }

    async serve(request, response) {
        check_head(request);
        await call(this.handler, this.options, request, response);
    }

    next() {
        this.in_flight -= 1;
        const waiting = this.waiting.shift();
        if (waiting) this.start(...waiting);
        else if (this.draining) this.leave_when_quiet();
    }

    answer_own(path, request, response) {
        request.resume();
        if (request.method !== 'GET' && request.method !== 'HEAD') {
            response.setHeader('Allow', 'GET, HEAD');
            send_text(response, 405, 'only GET');
        } else if (this.draining && path === '/_/ready') {
            send_text(response, 503, 'draining');
        } else {
            send_text(response, 200, 'OK');
        }
    }

    // Finishes what is there, answers what waits in the backlog, then ends the process. The socket stays
    // open till then: Node accepts one connection a turn of its loop, and does not say when none is left.
    drain() {
        if (this.draining) return;
        this.draining = true;
        if (!this.handler) return; // still loading: listen() goes on from here
        this.leave_when_quiet();
    }

    leave_when_quiet() {
        clearTimeout(this.quiet);
        this.quiet = setTimeout(() => this.in_flight === 0 && process.exit(0), kQuietMs);
    }

    listen(handler) {
        this.handler = handler;
        this.http.on('error', (error) => give_up(`cannot listen: ${error.message}`));
        this.http.listen(listen_options(), () => {
            if (!this.draining) return;
            this.draining = false;
            this.drain();
        });
    }
}

// ---- start ----------------------------------------------------------------------------------

async function load_handler(folder) {
    const fs = require('node:fs');
    const name = ['handler.js', 'handler.cjs', 'handler.mjs'].find((file) => fs.existsSync(`${folder}/${file}`));
    if (!name) give_up(`no handler.js, handler.cjs or handler.mjs in ${folder}`);
    const exported = await load(`${folder}/${name}`);
    const handler = [exported, exported?.default, exported?.handler, exported?.handle].find(
        (candidate) => typeof candidate === 'function',
    );
    return handler || give_up(`${name} must export a function: module.exports = async (event, context) => ...`);
}

async function load(file) {
    if (!file.endsWith('.mjs')) {
        try {
            return require(file);
        } catch (error) {
            if (error.code !== 'ERR_REQUIRE_ESM') throw error;
        }
    }
    return import(require('node:url').pathToFileURL(file).href);
}

async function main() {
    const server = new Server(settings());
    process.on('SIGTERM', () => server.drain());
    server.listen(await load_handler(process.cwd()));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
