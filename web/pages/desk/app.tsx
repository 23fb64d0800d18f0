import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Order } from "./order";
import { Orders } from "./orders";
import { Overview } from "./overview";
import { Plan } from "./plan";
import { Product } from "./product";
import { Products } from "./products";
import { route, to } from "./route";
import { SaleView } from "./sale";
import { allowed, key, scopes, signOut } from "./session";
import { SignIn } from "./signin";
import { clock, tick, zoneName } from "./time";
import { Asked, Notices, Silence } from "./ui";
import { FindUnit, UnitView } from "./unit";

const parts: [string, string[]][] = [["Overview", []], ["Products", ["products"]], ["Orders", ["orders"]], ["Units", ["units"]]];

/** The desk: what is open, and the view that the address names. */
export function App() {
  if (key.value === null) {
    return <SignIn />;
  }
  return <SignedIn />;
}

function SignedIn() {
  const { path } = route.value;
  const address = path.join("/");
  const first = useRef(true);
  useEffect(() => {
    // A new view is read from its beginning, also by those who listen.
    if (!first.current && !document.activeElement?.matches("main input, main select")) {
      document.getElementById("main")?.focus();
      scrollTo(0, 0);
    }
    first.current = false;
  }, [address]);
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>To the content</a>
      <header class="bar">
        <p class="name"><a href={to([])}>lastunit <span>desk</span></a></p>
        <nav aria-label="Desk">
          {parts.map(([name, at]) => (
            <a key={name} href={to(at)} {...(here(path, at) ? { "aria-current": "page" as const } : {})}>{name}</a>
          ))}
        </nav>
        <p class="clock" title="Times are shown in your own zone"><time>{clock(tick.value)}</time> <span>{zoneName()}</span></p>
        <Who />
      </header>
      <Silence />
      <main id="main" tabIndex={-1} key={address}><View path={path} /></main>
      <Notices />
      <Asked />
    </>
  );
}

const here = (path: string[], at: string[]) => (at.length === 0 ? path.length === 0 || path[0] === "sales" : path[0] === at[0]);

function Who() {
  const has = allowed.value;
  return (
    <p class="who">
      <span>{has === null ? "…" : has.size === scopes.length ? "Full key" : `Key for ${[...has].join(", ") || "nothing here"}`}</span>
      <button type="button" class="button plain" onClick={() => signOut()}>Sign out</button>
    </p>
  );
}

function View({ path: [part, id, more] }: { path: string[] }): ComponentChildren {
  switch (part) {
    case undefined:
      return <Titled as="Overview"><Overview /></Titled>;
    case "sales":
      if (id === undefined || id === "new") {
        return <Titled as="Plan a sale"><Plan id={null} /></Titled>;
      }
      return more === "change" ? <Titled as="Change a sale"><Plan id={id} /></Titled> : <Titled as="Sale"><SaleView id={id} /></Titled>;
    case "products":
      return id === undefined ? <Titled as="Products"><Products /></Titled> : <Titled as={id}><Product sku={id} /></Titled>;
    case "orders":
      return id === undefined ? <Titled as="Orders"><Orders /></Titled> : <Titled as="Order"><Order id={id} /></Titled>;
    case "units":
      return id === undefined ? <Titled as="Units"><FindUnit /></Titled> : <Titled as="A unit's life"><UnitView id={id} /></Titled>;
    default:
      return <Titled as="Not here"><h1>There is nothing here</h1><p><a href={to([])}>To the overview</a></p></Titled>;
  }
}

function Titled({ as, children }: { as: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${as} · lastunit desk`;
  }, [as]);
  return <>{children}</>;
}
