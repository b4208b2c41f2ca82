#!/usr/bin/env -S colab run --gpu T4 --timeout 86400
"""Train on a panel; where there is no browser it prints lines.

Here: python launchers/panel.py pets/    On Colab: ./launchers/panel.py pets/
"""

# COLAB_KIT_SPEC in the environment names another source: a fork, a tag, a wheel.
SPEC = "git+https://github.com/OWNER/colab_kit"
try:
    from colab_kit.cli.launch import main
except ImportError:
    import importlib, os, subprocess, sys

    spec = os.environ.get("COLAB_KIT_SPEC", SPEC)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", spec]
    done = subprocess.run(pip, capture_output=True, text=True)  # Colab hides a child's own output
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr, flush=True)
        raise SystemExit(done.returncode) from None
    importlib.invalidate_caches()
    from colab_kit.cli.launch import main
if __name__ == "__main__":
    raise SystemExit(main("panel"))
