// The standard handler of tests/contract/contract.py.
'use strict';

const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

const start_after = process.env.CONTRACT_START_AFTER;
// require() is synchronous, and so is this wait.
while (start_after && !fs.existsSync(start_after)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
if (process.env.CONTRACT_START_DEATH) process.exit(7);

async function* pieces() {
    yield* ['one', 'two', 'three'];
}

async function* die_after_a_piece() {
    yield 'half of it';
    await sleep(20);
    process.exit(7);
}

module.exports = async (event, context) => {
    switch (event.path) {
        case '/echo':
            return event.body;
        case '/hold':
            while (!fs.existsSync(event.query.file)) await sleep(5);
            return 'held';
        case '/pieces':
            return pieces();
        case '/die':
            return event.query.after ? die_after_a_piece() : process.exit(7);
        case '/fail':
            throw new Error('asked to fail');
    }
    return context.status(404).succeed('');
};
