import { defineConfig } from "vite";

// The built files are data of the gateway: git ignores them, the wheel and the image hold them.
export default defineConfig({
  base: "/console/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../gateway/console/built",
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 600, // kB of the one script that comes on demand, the editor of templates
    assetsInlineLimit: 0, // a strict content policy has no room for data addresses
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8000" } },
});
