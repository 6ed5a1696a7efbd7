//! How the pages behave in a browser: what they load, search, sort, look like, and how fast they open.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::browser::{Tab, View};
use super::shown::Shown;
use super::world::World;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> = trials![
    nothing_is_loaded_and_nothing_complains,
    what_an_object_is_called_is_never_obeyed,
    axe_finds_nothing_serious_in_light_and_in_dark,
    the_keyboard_searches,
    the_keyboard_sorts,
    a_narrow_page_scrolls_in_its_tables_only,
    on_paper_there_are_no_controls,
    a_thousand_workloads_open_at_once,
    pictures_for_the_docs,
];

const DARK: View = View { dark: true, ..View::WIDE };

fn nothing_is_loaded_and_nothing_complains(world: &World) {
    for page in &world.pages {
        for scripts in [true, false] {
            let tab = world.browser.open(&page.file, View { scripts, ..View::WIDE });
            assert_eq!(tab.requests(), [format!("file://{}", page.file.display())]);
            assert_eq!(tab.complaints(), Vec::<Value>::new(), "{}", page.name);
        }
    }
    // What the page did ask for would be refused.
    let tab = world.browser.open(&world.page("scan").file, View::WIDE);
    let image = "new Promise((done) => { const it = new Image(); it.onerror = () => done('refused'); \
                 it.onload = () => done('loaded'); it.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw='; })";
    assert_eq!(tab.value(image), "refused");
    assert!(tab.complaints()[0].to_string().contains("Content Security Policy"));
}

fn what_an_object_is_called_is_never_obeyed(world: &World) {
    for name in ["analyze", "bundle", "scan"] {
        let tab = world.browser.open(&world.page(name).file, View::WIDE);
        // A forged name is there as a text, and no element is there but the page's own.
        assert_eq!(
            tab.value("document.body.textContent.includes('<img src=x onerror=alert(1)>')"),
            true
        );
        assert_eq!(
            tab.value("document.querySelectorAll('img, iframe, link, object, [onerror]').length"),
            0
        );
        assert_eq!(
            tab.value("document.scripts.length + document.querySelectorAll('style').length"),
            2
        );
        assert_eq!(
            tab.value(r"/[\u202a-\u202e\u2066-\u2069]/.test(document.body.textContent)"),
            false
        );
    }
}

fn axe_finds_nothing_serious_in_light_and_in_dark(world: &World) {
    for page in world.small() {
        for view in [View::WIDE, DARK, View { width: 390, ..DARK }] {
            let tab = world.browser.open(&page.file, view);
            tab.value(&format!("{};0", world.axe));
            let found = tab.value(
                "axe.run(document, {resultTypes: ['violations']}).then((it) => it.violations)",
            );
            let found: Vec<_> = found
                .as_array()
                .unwrap()
                .iter()
                .map(|it| {
                    json!([
                        it["impact"],
                        it["id"],
                        it["help"],
                        it["nodes"][0]["html"],
                        it["nodes"][0]["failureSummary"]
                    ])
                })
                .collect();
            assert_eq!(found, Vec::<Value>::new(), "{} {view:?}", page.name);
        }
    }
}

fn the_keyboard_searches(world: &World) {
    let tab = world.browser.open(&world.page("analyze").file, View::WIDE);
    let all = Shown::by(&tab);
    tab.press("Tab");
    assert_eq!(tab.value("document.activeElement.textContent"), "Skip to the report");
    tab.tab_to("#words");
    tab.call("Input.insertText", &json!({"text": "ORDERS latest"}));
    tab.until("document.getElementById('found').textContent !== ''");
    let found = Shown::by(&tab);
    let rows = |page: &Shown| page.tables.values().map(|it| it.rows.len()).sum::<usize>();
    let said = format!("{} of {} rows", rows(&found), rows(&all));
    assert_eq!(tab.value("document.getElementById('found').textContent"), said);
    assert_eq!(tab.value("document.getElementById('found').getAttribute('role')"), "status");
    let violations = found.table("violations").columns(&["Workload", "Rule"]);
    assert!(
        violations.contains(&["Deployment/orders", "forbidLatestTag"].map(str::to_owned).to_vec())
    );
    assert!(violations.iter().all(|it| it[0] == "Deployment/orders"), "{violations:?}");
    // An empty search brings all rows back.
    tab.value("document.getElementById('words').select()");
    tab.call("Input.insertText", &json!({"text": ""}));
    tab.until("document.getElementById('found').textContent === ''");
    assert_eq!(rows(&Shown::by(&tab)), rows(&all));
}

fn the_keyboard_sorts(world: &World) {
    let tab = world.browser.open(&world.page("large").file, View::WIDE);
    let column = |tab: &Tab<'_>| -> Vec<String> {
        let shown = Shown::by(tab);
        shown.table("namespaces").rows.iter().map(|it| it[0].clone()).collect()
    };
    let before = column(&tab);
    let said = |tab: &Tab<'_>| tab.value("document.getElementById('found').textContent");
    let order = "document.activeElement.closest('th').getAttribute('aria-sort')";
    tab.tab_to("[aria-labelledby=namespaces] th:first-child button");
    tab.press("Enter");
    assert_eq!(
        (tab.value(order), said(&tab)),
        (json!("ascending"), json!("Sorted by Namespace, ascending"))
    );
    let mut sorted = before.clone();
    sorted.sort();
    assert_eq!(column(&tab), sorted);
    tab.press("Enter");
    assert_eq!(tab.value(order), "descending");
    sorted.reverse();
    assert_eq!(column(&tab), sorted);
    tab.press("Enter");
    assert_eq!(
        (tab.value(order), column(&tab)),
        (Value::Null, before),
        "the order of the report is back"
    );

    // Severities have an order of their own.
    let tab = world.browser.open(&world.page("analyze").file, View::WIDE);
    tab.tab_to("[aria-labelledby=violations] th:first-child button");
    tab.press("Enter");
    tab.press("Enter");
    let shown = Shown::by(&tab);
    let severities: Vec<_> =
        shown.table("violations").rows.iter().map(|it| it[0].as_str()).collect();
    let rank = |it: &&str| ["low", "medium", "high", "critical"].iter().position(|rank| rank == it);
    assert!(severities.is_sorted_by_key(rank), "{severities:?}");
}

fn a_narrow_page_scrolls_in_its_tables_only(world: &World) {
    for page in world.small() {
        let tab = world.browser.open(&page.file, View { width: 390, ..View::WIDE });
        assert_eq!(tab.value("document.documentElement.scrollWidth"), 390, "{}", page.name);
    }
}

fn on_paper_there_are_no_controls(world: &World) {
    let tab = world.browser.open(&world.page("scan").file, DARK);
    tab.call("Emulation.setEmulatedMedia", &json!({"media": "print"}));
    let visible = |selector: &str| {
        tab.value(&format!("document.querySelector({selector:?}).checkVisibility()"))
    };
    assert_eq!(
        (visible(".tools"), visible(".skip"), visible("h1")),
        (json!(false), json!(false), json!(true))
    );
    let colour = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(tab.value(colour), "rgb(255, 255, 255)", "paper is white, whatever the screen is");
    let pdf = tab.call("Page.printToPDF", &json!({}));
    assert!(pdf["data"].as_str().unwrap().starts_with("JVBERi0"));
}

fn a_thousand_workloads_open_at_once(world: &World) {
    let page = world.page("large");
    let size = fs::metadata(&page.file).unwrap().len();
    let tab = world.browser.open(&page.file, View::WIDE);
    let shown = Shown::by(&tab);
    let all = page.json["results"].as_array().unwrap().len();
    let rows = shown.table("violations").rows.len();
    println!("{size} bytes; {rows} of {all} violations");
    assert!(size < 2 * 1024 * 1024, "{size}");
    assert_eq!(page.json["summary"]["workloads"], 1000);
    assert_eq!(shown.table("namespaces").rows.len(), 200);
    let left = shown.texts["violations"].last();
    assert_eq!(
        left.is_some_and(|it| it.contains("left out here; podgate analyze -o json")),
        rows < all,
        "{left:?}"
    );
    for _ in 0..3 {
        let tab = world.browser.open(&page.file, View::WIDE);
        let times = "(() => { const [it] = performance.getEntriesByType('navigation'); \
                     const paint = performance.getEntriesByName('first-contentful-paint')[0]; \
                     return `loaded after ${Math.round(it.loadEventEnd)} ms, painted after ${Math.round(paint?.startTime)} ms`; })()";
        tab.value("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))");
        println!("{}", tab.value(times));
    }
}

fn pictures_for_the_docs(world: &World) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    let scratch = std::env::var_os("PICTURES");
    for page in world.small() {
        for (view, name) in
            [(View::WIDE, "light"), (DARK, "dark"), (View { width: 390, ..View::WIDE }, "narrow")]
        {
            let tab = world.browser.open(&page.file, view);
            let png = decoded(&tab.picture());
            let kept = page.name == "analyze" && name != "narrow";
            let name = format!("{}-{name}.png", page.name);
            if kept && std::env::var_os("UPDATE").is_some() {
                assert!(png.len() < 150_000, "{name}: {} bytes", png.len());
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(&name), &png).unwrap();
            }
            if let Some(scratch) = &scratch {
                fs::write(Path::new(scratch).join(&name), &png).unwrap();
            }
            assert!(
                !kept || folder.join(&name).is_file(),
                "write docs/images/{name}: UPDATE=1 make test-html"
            );
        }
    }
}

fn decoded(base64: &str) -> Vec<u8> {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(json!(base64)).unwrap();
    bytes.0
}
