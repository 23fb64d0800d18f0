import { render } from "preact";
import { App } from "./app";
import { learnScopes } from "./session";

learnScopes();
render(<App />, document.getElementById("app")!);
