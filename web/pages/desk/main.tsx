import { render } from "preact";

render(<main><h1>Desk</h1></main>, document.getElementById("app")!);
