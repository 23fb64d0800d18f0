import { test } from "node:test";
import { access, accessible } from "./access.js";
import { deskStates } from "./desk-states.js";

for (const state of deskStates) test(accessible(state.name), () => access(state));
