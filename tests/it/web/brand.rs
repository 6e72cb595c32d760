//! The operator's own pages: colours, files, links (docs/how-to/brand.md).

use std::fs;

use grantor::config::Config;
use grantor::web::brand::BrandFiles;

use crate::each_engine;
use crate::support::app::Folder;
use crate::support::{Engine, TestApp};

each_engine!(colours_files_and_links_are_those_of_the_configuration, without_a_brand_there_is_none);

const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 3 1\"/>";

async fn colours_files_and_links_are_those_of_the_configuration(engine: Engine) {
    let folder = Folder::new();
    for (name, text) in [("logo.svg", SVG), ("brand.css", "body { font-family: Acme }"), (".hidden.js", "")] {
        fs::write(folder.path(name), text).unwrap();
    }
    let toml = format!(
        "[brand]\ncolour = \"#8a1538\"\ncolour_dark = \"#ffb3c7\"\nfolder = {:?}\n\
         links = [{{ label = \"Privacy <b>\", uri = \"https://acme.example/privacy\" }}]\n",
        folder.path("").to_str().unwrap()
    );
    let app = TestApp::with(engine, &toml).await;
    let page = app.person().get("/sign-in").await;
    for part in [
        "href=\"/static/brand.css\"",
        "src=\"/static/logo.svg\"",
        "<a href=\"https://acme.example/privacy\" rel=\"noreferrer\">Privacy &#60;b&#62;</a>",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let css = app.get("/static/brand.css").await.expect_status(200);
    assert_eq!(css.header("content-type"), Some("text/css"));
    assert_eq!(
        css.body,
        ":root { --brand: #8a1538; --on-brand: #ffffff; }\n\
         @media (prefers-color-scheme: dark) { :root { --brand: #ffb3c7; --on-brand: #111317; }\n}\n\
         body { font-family: Acme }"
    );
    let logo = app.get("/static/logo.svg").await.expect_status(200);
    assert_eq!((logo.header("content-type"), &*logo.body), (Some("image/svg+xml"), SVG));
    assert!(logo.header("etag").is_some());
    app.get("/static/.hidden.js").await.expect_status(404);
    app.get("/static/app.css").await.expect_status(200);
}

async fn without_a_brand_there_is_none(engine: Engine) {
    let app = TestApp::spawn(engine).await;
    let page = app.person().get("/sign-in").await;
    assert!(!page.body.contains("brand.css") && !page.body.contains("<footer>"), "{}", page.body);
    app.get("/static/brand.css").await.expect_status(404);
}

#[test]
fn a_folder_that_is_none_of_a_brand_is_refused_in_words() {
    let folder = Folder::new();
    let refused = |path: &str| {
        let toml = format!("[brand]\nfolder = {path:?}\n");
        BrandFiles::read(&Config::parse(&toml).unwrap().brand).err().expect("it is refused").to_string()
    };
    assert!(refused("/no/such/folder").contains("brand.folder /no/such/folder cannot be read"));
    fs::write(folder.path("app.js"), "alert(1)").unwrap();
    // A script could read every password that is typed in.
    assert!(refused(folder.path("").to_str().unwrap()).contains("brand.folder has app.js"));
    fs::remove_file(folder.path("app.js")).unwrap();
    fs::write(folder.path("big.png"), vec![0; 1024 * 1024 + 1]).unwrap();
    assert!(refused(folder.path("").to_str().unwrap()).contains("too large"));
}
