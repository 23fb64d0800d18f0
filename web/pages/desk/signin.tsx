import { useState } from "preact/hooks";
import { signIn, turnedAway } from "./session";
import { Button, Field, Problem } from "./ui";

const command = "lastunit key create --name desk --scope audit --scope catalog --scope order --scope sale --scope stock";

/** Asks for an operator's key. */
export function SignIn() {
  const [secret, setSecret] = useState("");
  const [wrong, setWrong] = useState<string>();
  const submit = (e: Event) => {
    e.preventDefault();
    const given = secret.trim();
    if (!given.startsWith("lu_")) {
      setWrong("An operator's key begins with lu_. A buyer's token does not open the desk.");
      return;
    }
    signIn(given);
  };
  return (
    <main class="signin" id="main">
      <h1>Desk</h1>
      <p>For who runs the shop: plan a sale and watch it, count the stock, look after orders.</p>
      <form onSubmit={submit}>
        <Field label="API key" error={wrong} hint="Kept in this tab only, and forgotten when you close it.">
          {(f) => <input {...f} name="key" type="password" autocomplete="off" spellcheck={false} required autofocus value={secret} onInput={(e) => setSecret(e.currentTarget.value)} />}
        </Field>
        <Button tone="main" type="submit">Sign in</Button>
      </form>
      <Problem error={turnedAway.value} />
      <details>
        <summary>Where does a key come from?</summary>
        <p>Whoever runs the service makes one there. It is printed once. Each scope opens a part of the desk; leave out what you should not do.</p>
        <pre>{command}</pre>
        <p><code>lastunit demo</code> prints one for its own shop.</p>
      </details>
    </main>
  );
}
