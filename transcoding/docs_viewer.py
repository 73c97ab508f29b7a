"""The page at /docs where a viewer is given: RapiDoc over the OpenAPI document (docs/decisions/0011-api-page.md)."""

from html import escape

SCRIPT_PATH = "/docs/viewer.js"
PLAIN_PATH = "/docs/plain"
# The viewer sets styles itself. What it may speak to is this server.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
VIEWER_POLICY = ("content-security-policy", _POLICY)
# The viewer hides its list of calls from narrow screens.
_STYLE = ".narrow { margin: 0 1rem 1rem; font: 1rem system-ui } @media (min-width: 768px) { .narrow { display: none } }"
_ATTRIBUTES = (
    'spec-url="/openapi.json" render-style="focused" load-fonts="false" show-header="false" allow-spec-url-load="false" '
    'allow-spec-file-load="false" allow-server-selection="false" allow-advanced-search="true" persist-auth="false" '
    'schema-description-expanded="true" use-path-in-nav-bar="true" show-method-in-nav-bar="as-colored-text" nav-item-spacing="compact" '
    'regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace" primary-color="#2f6f5e"'
)


def viewer_page(title: str) -> bytes:
    """The page. Without scripts it leads to the plain one."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f'<style>{_STYLE}</style><script type="module" src="{SCRIPT_PATH}"></script></head><body style="margin:0">'
        f'<noscript><p>This page needs scripts; <a href="{PLAIN_PATH}">the plain one</a> needs none.</p></noscript>'
        f'<rapi-doc {_ATTRIBUTES}><p slot="nav-logo" style="margin:1rem;font:600 1.1rem system-ui">{escape(title)}</p>'
        f'<p style="margin:0 1rem 1rem;font:.9rem system-ui"><a href="{PLAIN_PATH}">plain page</a> · '
        '<a href="/openapi.json">openapi.json</a></p>'
        f'<p class="narrow">On a screen as narrow as this one the calls are listed on the <a href="{PLAIN_PATH}">plain page</a>.</p>'
        "</rapi-doc></body></html>"
    ).encode()
