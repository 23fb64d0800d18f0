// Builds the storefront and the desk into web/dist, which is committed and embedded into the program.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here("."),
  resolve: { alias: { lastunit: here("../client/src/index.ts") } },
  server: { proxy: { "/api": "http://127.0.0.1:8080", "/order": "http://127.0.0.1:8080" } },
  build: {
    outDir: here("../dist"),
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    assetsInlineLimit: 0, // nothing inline: the content security policy allows none
    modulePreload: { polyfill: false },
    rollupOptions: { input: { storefront: here("index.html"), desk: here("desk/index.html") } },
  },
});
