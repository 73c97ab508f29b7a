"""Run by the tests of the chart: Helm's own engine over deploy/helm/clarion, with a JSON list of values on standard input; answers JSON.

A process of its own, since the engine is Go as a shared library, which stays in the process that has loaded it.
"""

import importlib
import json
import sys
from pathlib import Path

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "clarion"


def main() -> int:
    """What `helm lint` finds, and for each of the values what `helm template` makes of them, or why not."""
    helm = importlib.import_module("helm_python")
    found = []
    with helm.Chart.load(str(CHART)) as chart:
        for values in json.load(sys.stdin):
            try:
                chart.validate_schema(values)
                found.append({"templates": chart.render(values, name="clarion", namespace="clarion")})
            except helm.HelmError as error:
                found.append({"error": str(error)})
    json.dump({"lint": helm.lint(str(CHART))["messages"], "rendered": found}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
