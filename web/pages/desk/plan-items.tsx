import type { Product } from "lastunit";
import { count, money } from "./format";
import { choose, newItem } from "./plan-form";
import type { ItemTyped, Typed } from "./plan-form";
import { Button, Empty, Panel } from "./ui";
import { to } from "./route";

interface Props {
  typed: Typed;
  set: (change: Partial<Typed>) => void;
  at: (location: string) => string | undefined;
  products: Product[];
  /** The sale is scheduled: only prices can be changed. */
  locked: boolean;
}

/** The products of a sale, with their prices and allotments. */
export function Items({ typed, set, at, products, locked }: Props) {
  const change = (i: number, item: ItemTyped) => set({ items: typed.items.map((was, n) => (n === i ? item : was)) });
  const taken = new Set(typed.items.map((item) => item.sku));
  if (products.length === 0) {
    return <Panel title="Products"><Empty><p>There is nothing to sell yet. <a href={to(["products"])}>Create a product first.</a></p></Empty></Panel>;
  }
  return (
    <Panel title="Products" tools={!locked && <Button onClick={() => set({ items: [...typed.items, newItem()] })}>Add a product</Button>}>
      {locked && <p class="note">The sale is scheduled: its products and allotments stay, prices may change.</p>}
      <ol class="items">
        {typed.items.map((item, i) => (
          <Item key={i} item={item} i={i} at={at} locked={locked} change={(to) => change(i, to)} choices={products.filter((p) => p.sku === item.sku || !taken.has(p.sku))}
            {...(typed.items.length > 1 && !locked ? { remove: () => set({ items: typed.items.filter((_, n) => n !== i) }) } : {})} />
        ))}
      </ol>
    </Panel>
  );
}

interface ItemProps {
  item: ItemTyped;
  i: number;
  at: Props["at"];
  choices: Product[];
  locked: boolean;
  change: (item: ItemTyped) => void;
  remove?: () => void;
}

function Item({ item, i, at, choices, locked, change, remove }: ItemProps) {
  const product = choices.find((p) => p.sku === item.sku);
  const where = `body.items[${i}]`;
  const errors = { sku: at(`${where}.sku`), price: at(`${where}.price.amount`) ?? at(`${where}.price.currency`), quantity: at(`${where}.quantity`) };
  const says = (what: keyof typeof errors, hint: string) => <p class="says" id={`item-${i}-${what}-says`}>{errors[what] ? <strong>{errors[what]}</strong> : hint}</p>;
  const field = (what: keyof typeof errors) => ({ id: `item-${i}-${what}`, "aria-describedby": `item-${i}-${what}-says`, "aria-invalid": Boolean(errors[what]) });
  const normally = product?.price ? `Otherwise ${money(product.price)}.` : product ? "It has no price otherwise." : "";
  const stock = product ? `${product.availability.capped ? "Over " : ""}${count(product.availability.available)} to be had now. Empty: sells from the common stock, and only through the sale.` : "";
  return (
    <li class="item">
      <div class={`field ${errors.sku ? "wrong" : ""}`}>
        <label for={`item-${i}-sku`}>Product</label>
        <select {...field("sku")} disabled={locked} onChange={(e) => change(choose(item, choices.find((p) => p.sku === e.currentTarget.value)))}>
          <option value="" selected={item.sku === ""}>Choose …</option>
          {choices.map((p) => <option key={p.sku} value={p.sku} selected={p.sku === item.sku}>{p.name ? `${p.name} (${p.sku})` : p.sku}</option>)}
        </select>
        {says("sku", "")}
      </div>
      <div class={`field ${errors.price ? "wrong" : ""}`}>
        <label for={`item-${i}-price`}>Price in the sale</label>
        <span class="with-unit"><input {...field("price")} class="number" inputMode="decimal" value={item.price} onInput={(e) => change({ ...item, price: e.currentTarget.value })} /><span>{item.currency}</span></span>
        {says("price", normally)}
      </div>
      <div class={`field ${errors.quantity ? "wrong" : ""}`}>
        <label for={`item-${i}-quantity`}>Set aside</label>
        <input {...field("quantity")} type="number" min={1} readOnly={locked} placeholder="all of it" value={item.quantity} onInput={(e) => change({ ...item, quantity: e.currentTarget.value })} />
        {says("quantity", stock)}
      </div>
      {remove && <Button tone="plain" class="remove" aria-label={`Take ${item.sku || "this product"} out`} onClick={remove}>Take out</Button>}
    </li>
  );
}
