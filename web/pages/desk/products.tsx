import { listProducts } from "lastunit";
import { useState } from "preact/hooks";
import { ImportForm } from "./import";
import { ProductTable } from "./overview";
import { ProductForm } from "./product-form";
import { useReading } from "./reading";
import { go, route, to } from "./route";
import { client } from "./session";
import { Button, Field, Needs, Panel, Read } from "./ui";

/** All products, page by page, the way to each of them, and a new one. */
export function Products() {
  const { query } = route.value;
  const cursor = query.get("cursor");
  const products = useReading((signal) => listProducts(client.value, { limit: 100, ...(cursor ? { cursor } : {}) }, { signal, retry: false }), [client.value, cursor], 3000);
  const [making, setMaking] = useState(false);
  const [importing, setImporting] = useState(false);
  const [sku, setSku] = useState("");
  return (
    <>
      <div class="head">
        <h1>Products and stock</h1>
        <div class="tools">
          <form class="inline" role="search" onSubmit={(e) => { e.preventDefault(); if (sku.trim()) go(to(["products", sku.trim()])); }}>
            <Field label="Go to a SKU">{(f) => <input {...f} type="search" value={sku} onInput={(e) => setSku(e.currentTarget.value)} />}</Field>
            <Button type="submit">Go</Button>
          </form>
          <Button aria-expanded={importing} onClick={() => setImporting(!importing)}>Import</Button>
          <Button tone="main" aria-expanded={making} onClick={() => setMaking(!making)}>New product</Button>
        </div>
      </div>
      {making && (
        <Panel title="New product">
          <Needs scope="catalog" what="Making products"><ProductForm product={null} done={(p) => go(to(["products", p.sku]))} leave={() => setMaking(false)} /></Needs>
        </Panel>
      )}
      {importing && (
        <Panel title="Import">
          <Needs scope="catalog" what="Importing"><ImportForm done={() => void products.reload()} leave={() => setImporting(false)} /></Needs>
        </Panel>
      )}
      <Panel title="Products" class="flush">
        <Read from={products} what="the products">
          {({ items, next_cursor }) => (
            <>
              <ProductTable of={items} />
              <nav class="pager" aria-label="Pages">
                {cursor && <a href={to(["products"])}>First page</a>}
                {next_cursor && <a href={to(["products"], { cursor: next_cursor })}>Next page</a>}
              </nav>
            </>
          )}
        </Read>
      </Panel>
    </>
  );
}
