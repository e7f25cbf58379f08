// BullMQ as its pages show it: 10 jobs at once. The same job and the same command line as jobs.py.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

// The package lies in the peer's folder, which is the working directory.
const { Queue, Worker } = createRequire(path.join(process.cwd(), "index.js"))("bullmq");

const CONCURRENCY = 10;
const AT_ONCE = 1000;
const LOOK_MS = 5;
const folder = process.env.BENCH_OUT;
const url = new URL(process.env.BENCH_REDIS);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Nanoseconds since 1970: Date.now() has milliseconds only.
const offset = performance.timeOrigin;
const now = () => BigInt(Math.round((offset + performance.now()) * 1000)) * 1000n;

function begun() {
  const files = fs.readdirSync(folder).filter((name) => name.endsWith(".begun"));
  return files.reduce((sum, name) => sum + fs.readFileSync(path.join(folder, name), "utf8").split("\n").length - 1, 0);
}

function work() {
  const file = fs.openSync(path.join(folder, `${process.pid}.begun`), "a");
  return new Worker(
    "jobs",
    async (job) => {
      fs.writeSync(file, `${now()} ${job.data.sent_ns}\n`);
      if (job.data.hold_s) await pause(job.data.hold_s * 1000);
    },
    { connection, concurrency: CONCURRENCY },
  );
}

async function many(queue, count, hold_s) {
  for (let first = 0; first < count; first += AT_ONCE) {
    const size = Math.min(AT_ONCE, count - first);
    await queue.addBulk(Array.from({ length: size }, () => ({ name: "job", data: { sent_ns: `${now()}`, hold_s } })));
  }
}

async function oneByOne(queue, count) {
  for (let number = 0; number < count; number += 1) {
    await pause(20 + Math.random() * 500);
    await queue.add("job", { sent_ns: `${now()}`, hold_s: 0 });
    while (begun() <= number) await pause(LOOK_MS);
  }
}

const [kind, count, hold] = process.argv.slice(2);
if (kind === "worker") {
  work();
} else {
  const queue = new Queue("jobs", { connection });
  await (kind === "one" ? oneByOne(queue, Number(count)) : many(queue, Number(count), Number(hold ?? 0)));
  await queue.close();
}
