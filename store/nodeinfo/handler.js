'use strict';

const os = require('node:os');

// Answers what the function runs on; POST {"verbose": true} for more.
module.exports = async (event, context) => {
    const info = {
        node: process.version,
        platform: `${os.type()} ${os.release()} ${os.arch()}`,
        hostname: os.hostname(),
        cpus: os.cpus().length,
        memory_mib: Math.round(os.totalmem() / 2 ** 20),
        rss_mib: Math.round(process.memoryUsage().rss / 2 ** 20),
        uptime_s: Math.round(process.uptime()),
        method: event.method,
    };
    if (event.body && event.body.verbose) info.versions = process.versions;
    return context.status(200).succeed(info);
};
