import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { client, rejectsWith } from "./server.js";

test("an assistant is created, read, changed and deleted", async () => {
  const created = await client.assistants.create({ graphId: "echo", name: "mine", metadata: { team: "a" } });
  assert.deepEqual(await client.assistants.get(created.assistant_id), created);
  const changed = await client.assistants.update(created.assistant_id, { graphId: "echo", metadata: { more: 1 } });
  assert.deepEqual([changed.version, changed.metadata], [2, { team: "a", more: 1 }]);
  await client.assistants.delete(created.assistant_id);
  await rejectsWith(404, client.assistants.get(created.assistant_id));
});

test("versions are listed and can be made current again", async () => {
  const { assistant_id: id } = await client.assistants.create({ graphId: "echo", context: { model: "a" } });
  await client.assistants.update(id, { graphId: "echo", context: { model: "b" } });
  const versions = await client.assistants.getVersions(id);
  assert.deepEqual(versions.map((each) => [each.version, each.context.model]), [[2, "b"], [1, "a"]]);
  assert.equal((await client.assistants.setLatest(id, 1)).context.model, "a");
});

test("assistants are searched, counted and paged", async () => {
  const metadata = { mark: randomUUID() };
  for (const name of ["b", "a", "c"]) await client.assistants.create({ graphId: "echo", name, metadata });
  const found = await client.assistants.search({ metadata, sortBy: "name", sortOrder: "asc" });
  assert.deepEqual(found.map((each) => each.name), ["a", "b", "c"]);
  assert.equal(await client.assistants.count({ metadata }), 3);
  const page = await client.assistants.search({ metadata, limit: 2, includePagination: true });
  assert.deepEqual([page.assistants.length, page.next], [2, "2"]);
  assert.deepEqual(await client.assistants.search({ metadata, name: "C", select: ["name"] }), [{ name: "c" }]);
});

test("the graph, its schemas and its subgraphs are described", async () => {
  const [assistant] = await client.assistants.search({ graphId: "nested", metadata: { created_by: "system" } });
  const drawn = await client.assistants.getGraph(assistant.assistant_id, { xray: true });
  assert.ok(drawn.nodes.some((node) => node.id === "sub:one"));
  const schemas = await client.assistants.getSchemas(assistant.assistant_id);
  assert.deepEqual(Object.keys(schemas.state_schema.properties).sort(), ["log", "n", "x"]);
  const subgraphs = await client.assistants.getSubgraphs(assistant.assistant_id, { recurse: true });
  assert.deepEqual(Object.keys(subgraphs), ["sub"]);
  assert.deepEqual(await client.assistants.getSubgraphs(assistant.assistant_id, { namespace: "sub" }), subgraphs);
});
