import { putProduct } from "lastunit";
import type { Product, ProductPut } from "lastunit";
import { useState } from "preact/hooks";
import { fromMinor, toMinor } from "./format";
import { useAction } from "./reading";
import { client } from "./session";
import { Button, Field, Problem, wrongWith } from "./ui";

/** Creates a product, or replaces what is known of one. */
export function ProductForm({ product, done, leave }: { product: Product | null; done: (p: Product) => void; leave: () => void }) {
  const [sku, setSku] = useState(product?.sku ?? "");
  const [name, setName] = useState(product?.name ?? "");
  const [description, setDescription] = useState(product?.description ?? "");
  const [image, setImage] = useState(product?.image_url ?? "");
  const [price, setPrice] = useState(product?.price ? fromMinor(product.price) : "");
  const [currency, setCurrency] = useState(product?.price?.currency ?? "EUR");
  const [selling, setSelling] = useState(product?.selling ?? true);
  const [wrong, setWrong] = useState<string>();
  const save = useAction(async (_, to: string, body: ProductPut) => {
    const saved = await putProduct(client.value, to, body);
    done(saved);
    return product ? `Saved ${saved.name ?? saved.sku}.` : `Created ${saved.name ?? saved.sku}. It has no stock yet.`;
  });
  const submit = (e: Event) => {
    e.preventDefault();
    const amount = price.trim() === "" ? null : toMinor(price, currency);
    setWrong(Number.isNaN(amount) ? "An amount, such as 12.90." : undefined);
    if (!Number.isNaN(amount)) {
      void save.run(sku.trim(), {
        name: name.trim() || null, description: description.trim() || null, image_url: image.trim() || null, selling,
        price: amount === null ? null : { amount, currency }, attributes: product?.attributes ?? {}, rehearsal: product?.rehearsal ?? false,
      });
    }
  };
  return (
    <form class="fields" onSubmit={submit}>
      {product === null && (
        <Field label="SKU" hint="For ever: it can't be changed." error={wrongWith(save.error, "path.sku")}>
          {(f) => <input {...f} required maxLength={64} pattern="[A-Za-z0-9._\-]+" title="Letters, digits, and . _ -" spellcheck={false} value={sku} onInput={(e) => setSku(e.currentTarget.value)} />}
        </Field>
      )}
      <Field label="Name" error={wrongWith(save.error, "body.name")}>{(f) => <input {...f} value={name} onInput={(e) => setName(e.currentTarget.value)} />}</Field>
      <div class="pair">
        <Field label="Price" hint="Empty: only the shop beside sells it." error={wrong ?? wrongWith(save.error, "body.price.amount")}>
          {(f) => <input {...f} inputMode="decimal" class="number" value={price} onInput={(e) => setPrice(e.currentTarget.value)} />}
        </Field>
        <Field label="Currency" error={wrongWith(save.error, "body.price.currency")}>
          {(f) => <input {...f} maxLength={3} size={4} value={currency} onInput={(e) => setCurrency(e.currentTarget.value.toUpperCase())} />}
        </Field>
      </div>
      <Field label="Description" class="long" error={wrongWith(save.error, "body.description")}>
        {(f) => <textarea {...f} rows={2} value={description} onInput={(e) => setDescription(e.currentTarget.value)} />}
      </Field>
      <Field label="Picture" class="long" hint="https, or a path on this service." error={wrongWith(save.error, "body.image_url")}>
        {(f) => <input {...f} value={image} onInput={(e) => setImage(e.currentTarget.value)} />}
      </Field>
      <label class="check long"><input type="checkbox" checked={selling} onChange={(e) => setSelling(e.currentTarget.checked)} /> <span>On sale. Off, nothing of it can be claimed; carts and orders go on.</span></label>
      <div class="actions long">
        <Button tone="main" type="submit" busy={save.busy}>{product ? "Save" : "Create"}</Button>
        <Button tone="plain" onClick={leave}>Leave it</Button>
      </div>
      <Problem error={save.error} />
    </form>
  );
}
