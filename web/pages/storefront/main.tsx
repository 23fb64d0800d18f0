import { render } from "preact";

render(<main><h1>lastunit</h1></main>, document.getElementById("app")!);
