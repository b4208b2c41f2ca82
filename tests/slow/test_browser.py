"""The panel in a real browser: JupyterLab, Chromium, clicks and keys."""

import psutil
import pytest

from tests.support.lab import (
    ARGS,
    CHROMIUM,
    READY,
    SLOW,
    lab,
    run_cell,
    until_shown,
    write_notebook,
)

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("jupyterlab")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timed,  # and the tests go on from each other, in one kernel
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
]
ANSWER = 300  # ms
PANEL = """
kit.panel(SOURCE, run_dir=OUT, epochs=4, lr=0.01, image_size=28, batch_size=64, save_every_steps=10, seed=SEED)
"""


NAMELESS = """() => {
  const area = document.querySelector('.jp-OutputArea'), found = [];
  for (const e of area.querySelectorAll('button, input, select, img, progress, meter, svg[role]')) {
    const label = e.id && area.querySelector(`label[for="${e.id}"]`);
    const named = e.getAttribute('aria-label') || e.getAttribute('alt') || e.textContent.trim() || e.title || e.placeholder;
    const labelled = (label && label.textContent) || (e.labels && e.labels.length) || e.type === 'file';
    if (!named && !labelled) found.push(e.outerHTML.slice(0, 200));
  }
  return found;
}"""
PALE = """() => {
  const area = document.querySelector('.jp-OutputArea'), found = [];
  const read = text => { const n = (text.match(/[\\d.]+/g) || []).map(Number); return n.length == 3 ? [...n, 1] : n; };
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                       return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = read(getComputedStyle(e).backgroundColor); if (c[3] > 0.5) return c; }
                        return [255, 255, 255, 1]; };
  const walk = document.createTreeWalker(area, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const e = node.parentElement;
    if (!node.textContent.trim() || !e.getClientRects().length || e.closest('style, script, .heard')) continue;
    const front = read(getComputedStyle(e)[e.closest('svg') ? 'fill' : 'color']), back = behind(e);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${node.textContent.trim().slice(0, 40)} <${e.tagName} ${e.className}>`);
  }
  return found;
}"""
ORDER = [
    "Data",
    "Load",
    "Backbone",
    "Epochs",
    "Advanced",
    "Start",
    "Pause",
    "Stop",
    "Copy as code",
]  # as the keyboard walks
HERE = """() => {
  const e = document.activeElement, area = document.querySelector('.jp-OutputArea');
  const label = e.id && area.querySelector(`label[for="${e.id}"]`);
  return (label ? label.textContent : e.getAttribute('aria-label') || e.textContent).trim();
}"""


def cell(seconds, out, source="fashion-mini", seed=0):
    named = {"SECONDS": seconds, "OUT": out, "SOURCE": source, "SEED": seed}
    text = SLOW + PANEL
    for name, value in named.items():
        text = text.replace(name, repr(value))
    return text


def state(word):
    return f"[role=status][data-state={word}]"


def shown(page, selector, timeout=60_000):
    return page.wait_for_selector(selector, state="attached", timeout=timeout)


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("lab")
    cells = [
        cell(0.05, "quick"),
        cell(3.0, "long", seed=1),
        cell(0.0, "none", source="no/such/folder"),
        cell(0.05, "killed", seed=2),
    ]
    write_notebook(root / "n.ipynb", cells)
    with (
        lab(root, dark=request.param == "dark", COLAB_KIT_HOME=str(root / "home")) as url,
        playwright.sync_playwright() as started,
    ):
        browser = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGS)
        found = browser.new_page(viewport={"width": 1100, "height": 1500})
        found.heard, found.theme, found.root, found.at = [], request.param, root, url("n.ipynb")
        found.on(
            "console",
            lambda message: found.heard.append(message.text) if message.type == "error" else None,
        )
        found.on("pageerror", lambda error: found.heard.append(str(error)))
        found.goto(found.at)
        found.wait_for_function(READY, timeout=60_000)
        yield found
        browser.close()


def test_start_pause_continue_rerun_stop_and_go_on_to_the_result(page):
    run_cell(page, 0)
    button = page.get_by_role("button", name="Start", exact=True)
    button.wait_for(timeout=60_000)
    button.focus()
    page.keyboard.press("Enter")  # by keyboard alone
    shown(page, state("working"))
    page.wait_for_function(
        "() => (document.querySelector('.colab-kit progress') || {}).value > 3", timeout=60_000
    )
    assert page.locator(".colab-kit svg[role=img]").count() == 1
    assert until_shown(page, "Pause", state("paused")) < ANSWER
    assert page.evaluate("document.activeElement.textContent") == "Pause", "the focus stays"
    assert until_shown(page, "Continue", state("working")) < ANSWER
    if page.theme == "light":
        page.goto(page.at)  # the page is loaded anew in the middle; its kernel goes on
        page.wait_for_function(READY.replace(" && kernel.status == 'idle'", ""), timeout=60_000)
    run_cell(page, 0)  # the same cell again: it shows the training that is under way
    shown(page, state("working"))
    page.wait_for_function(
        "() => (document.querySelector('.colab-kit progress') || {}).value > 10", timeout=60_000
    )
    assert until_shown(page, "Stop", f"{state('stopping')}, {state('stopped')}") < ANSWER
    shown(page, state("stopped"))
    page.get_by_role("button", name="Start", exact=True).click()
    shown(page, state("finished"), timeout=120_000)
    shown(page, ".colab-kit img[alt^='which']")
    assert (
        "Going on from step" in page.locator(".colab-kit details").first.inner_html()
        or page.locator("text=Going on from").count()
    )
    page.get_by_role("button", name="Copy as code", exact=True).click()
    assert (
        "kit.transfer('fashion-mini', 'resnet18', epochs=4"
        in shown(page, ".colab-kit code").inner_text()
    )
    page.locator(".jp-OutputArea").first.screenshot(path=str(page.root / f"panel-{page.theme}.png"))
    assert page.evaluate(NAMELESS) == [], "every control and picture has a name"
    assert page.evaluate(PALE) == [], (
        "every text stands out from what is behind it, 4.5 to 1 or more"
    )
    page.get_by_role("textbox", name="Data").focus()
    walked = [page.evaluate(HERE)]
    while walked[-1] != ORDER[-1] and len(walked) < 20:
        page.keyboard.press("Tab")
        walked.append(page.evaluate(HERE))
    assert walked == ORDER
    page.get_by_role("button", name="Advanced", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Hide advanced", exact=True).wait_for(timeout=10_000)
    page.keyboard.press("Tab")
    assert page.evaluate(HERE) == "views" and page.evaluate(PALE) == page.evaluate(NAMELESS) == []
    page.get_by_role("button", name="Hide advanced", exact=True).click()
    page.evaluate(
        "document.querySelector('.colab-kit table').style.color = '%s'"
        % ("#555" if page.theme == "dark" else "#999")
    )
    assert page.evaluate(PALE), "this check can fail"
    page.evaluate("document.querySelector('.colab-kit table').style.color = ''")
    assert page.heard == []


def test_stop_during_long_batches_says_so_at_once(page):
    if page.theme == "dark":
        pytest.skip("the theme changes nothing of it, and it takes 20 s")
    run_cell(page, 1)
    shown(page, "text=Start")
    page.locator(".jp-Cell").nth(1).get_by_role("button", name="Start", exact=True).click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('[data-state=working]')].length == 1", timeout=60_000
    )
    page.wait_for_timeout(1500)
    page.evaluate(
        "() => document.querySelectorAll('.jp-Cell')[0].remove()"
    )  # one panel's Stop is left
    assert until_shown(page, "Stop", state("stopping")) < ANSWER
    assert page.locator("text=Stopping after this batch").count() >= 1
    shown(page, state("stopped"), timeout=30_000)


def test_a_kernel_that_is_killed_in_the_middle_is_gone_on_from(page):
    if page.theme == "dark":
        pytest.skip("the theme changes nothing of it")
    page.goto(page.at)
    page.wait_for_function(READY, timeout=60_000)
    run_cell(page, 3)
    mine = page.locator(".jp-Cell").nth(3)
    mine.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.colab-kit progress')].some(bar => bar.value > 30)",
        timeout=60_000,
    )
    kernels = [
        child
        for child in psutil.Process().children(recursive=True)
        if any("ipykernel" in word for word in child.cmdline())
    ]
    kernels[-1].kill()
    page.wait_for_function("() => !(" + READY + ")()", timeout=60_000)
    page.wait_for_function(READY, timeout=60_000)  # JupyterLab has started another, and says so
    page.locator(".jp-Dialog button").last.click()
    run_cell(page, 3)
    shown(page, "text=is not finished: Start goes on where it was.")
    mine.get_by_role("button", name="Start", exact=True).click()
    shown(page, state("finished"), timeout=120_000)
    assert "Going on from step" in mine.inner_html()


def test_an_error_is_an_alert_and_a_reloaded_page_finds_its_kernel(page):
    page.goto(page.at)
    page.wait_for_function(READY, timeout=60_000)
    run_cell(page, 2)
    page.get_by_role("button", name="Start", exact=True).last.click()
    alert = shown(page, "[role=alert]")
    assert "no/such/folder" in alert.inner_text() and "Fix:" in alert.inner_text()
    page.get_by_role("button", name="Try again", exact=True).wait_for(timeout=10_000)
    page.evaluate(
        "window.jupyterapp.shell.currentWidget.sessionContext.restartKernel().then(() => window.restarted = true); 0"
    )
    page.wait_for_function("() => window.restarted", timeout=60_000)
    page.wait_for_function(READY, timeout=60_000)
    run_cell(page, 0)  # after a new kernel the finished run is given back by the same cell
    page.locator(".jp-Cell").first.get_by_role("button", name="Start", exact=True).click()
    shown(page, state("finished"), timeout=60_000)
