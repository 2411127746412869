'use strict';
// GET /stream answers with server-sent events; each POST /next lets one more of them go. The first
// goes at once.

const waiting = [];

async function* stream() {
    for (let number = 1; number <= 3; number += 1) {
        yield `data: ${number}\n\n`;
        if (number < 3) await new Promise((resolve) => waiting.push(resolve));
    }
}

module.exports = async (event, context) => {
    if (event.path === '/next') {
        const resolve = waiting.shift();
        if (resolve) resolve();
        return context.status(resolve ? 200 : 409).succeed('');
    }
    return context.status(200).headers({'Content-Type': 'text/event-stream'}).succeed(stream());
};
