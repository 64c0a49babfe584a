// The server under test, and what several tests do with it.

import assert from "node:assert/strict";
import net from "node:net";
import { Client } from "@langchain/langgraph-sdk";

export const url = process.env.WAYSTATION_URL;
assert.ok(url, "WAYSTATION_URL must name a running server with the graphs of tests/project");

export const client = new Client({ apiUrl: url, apiKey: null });

export async function newThread() {
  return (await client.threads.create()).thread_id;
}

export async function collected(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

export const of = (parts, event) => parts.filter((part) => part.event === event).map((part) => part.data);

export const said = (chunks) => chunks.map(([chunk]) => chunk.content).join("");

export const words = (count) => Array.from({ length: count }, (_, index) => `w${index}`).join(" ");

export const asking = (count) => ({ messages: [{ role: "user", content: String(count) }] });

export async function rejectsWith(status, promise) {
  await assert.rejects(promise, (error) => {
    assert.match(String(error), new RegExp(`${status}`));
    return true;
  });
}

/** A way to the server that can be cut: `cut()` drops the open connections, as a lost network does, and says how many. */
export async function fragilePath() {
  const target = new URL(url);
  const open = new Set();
  const proxy = net.createServer((near) => {
    const far = net.connect(Number(target.port), target.hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      open.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    cut: () => {
      const count = open.size;
      open.forEach((socket) => socket.destroy());
      return count;
    },
    close: () => {
      open.forEach((socket) => socket.destroy());
      proxy.close();
    },
  };
}
