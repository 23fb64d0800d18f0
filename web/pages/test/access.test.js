import { test } from "node:test";
import { access, accessible } from "./access.js";
import { states } from "./states.js";

for (const state of states) test(accessible(state.name), () => access(state));
