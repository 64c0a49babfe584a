import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { client } from "./server.js";

test("an item is stored, read, overwritten and deleted", async () => {
  const space = [randomUUID(), "memories"];
  await client.store.putItem(space, "k", { n: 1 });
  const item = await client.store.getItem(space, "k");
  assert.deepEqual([item.namespace, item.key, item.value], [space, "k", { n: 1 }]);
  await client.store.putItem(space, "k", { n: 2 }, { index: false, ttl: 60 });
  const changed = await client.store.getItem(space, "k", { refreshTtl: false });
  assert.deepEqual([changed.value, changed.createdAt], [{ n: 2 }, item.createdAt]);
  await client.store.deleteItem(space, "k");
  assert.equal(await client.store.getItem(space, "k"), null);
});

test("items are searched and namespaces listed", async () => {
  const root = randomUUID();
  for (const n of [1, 2, 3]) await client.store.putItem([root, n % 2 ? "odd" : "even"], `k${n}`, { n });
  const keys = async (options) => (await client.store.searchItems([root], options)).items.map((item) => item.key).sort();
  assert.deepEqual(await keys(), ["k1", "k2", "k3"]);
  assert.deepEqual(await keys({ filter: { n: { $gte: 2 } } }), ["k2", "k3"]);
  assert.equal((await keys({ limit: 1, offset: 2 })).length, 1);
  const { namespaces } = await client.store.listNamespaces({ prefix: [root], maxDepth: 2 });
  assert.deepEqual(namespaces, [[root, "even"], [root, "odd"]]);
});
