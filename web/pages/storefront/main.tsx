import { render } from "preact";
import { App } from "./App";
import { resume } from "./cart";

resume();
render(<App />, document.getElementById("app")!);
