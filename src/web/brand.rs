//! What an operator's pages look like: files from a folder that take the place of ours, read once.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use axum::body::Bytes;

use super::assets::File;
use crate::config::Brand;

/// The stylesheet that comes after ours.
pub const STYLESHEET: &str = "brand.css";

/// A picture of any width, which stands where ours does.
pub const LOGO: &str = "logo.svg";

const LARGEST: u64 = 1024 * 1024;
const MOST: usize = 64;

/// The files, by their names under `/static`.
#[derive(Default)]
pub struct BrandFiles(HashMap<String, File>);

impl BrandFiles {
    /// # Errors
    /// In words: what cannot be read, or is no file of a brand.
    pub fn read(brand: &Brand) -> anyhow::Result<Self> {
        let mut files = brand.folder.as_deref().map(from).transpose()?.unwrap_or_default();
        let colours = brand.stylesheet();
        if !colours.is_empty() {
            // What the operator wrote has the last word.
            let own = files.remove(STYLESHEET).map(|file| file.data).unwrap_or_default();
            let whole = [colours.as_bytes(), &own].concat();
            files.insert(STYLESHEET.to_owned(), File::new(STYLESHEET, whole.into()));
        }
        Ok(Self(files))
    }

    pub fn get(&self, name: &str) -> Option<&File> {
        self.0.get(name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

fn from(folder: &Path) -> anyhow::Result<HashMap<String, File>> {
    let shown = folder.display();
    let entries = fs::read_dir(folder).with_context(|| format!("brand.folder {shown} cannot be read"))?;
    let mut files = HashMap::new();
    for entry in entries {
        let path = entry.with_context(|| format!("brand.folder {shown} cannot be read"))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.')) else {
            continue;
        };
        // No script: whoever can write there could read every password that is typed in.
        if !path.extension().is_some_and(|kind| ["svg", "png", "webp", "css", "woff2"].iter().any(|own| kind == *own)) {
            bail!("brand.folder has {name}: it is for .svg, .png, .webp, .css and .woff2 files");
        }
        let data = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        if data.len() as u64 > LARGEST || files.len() == MOST {
            bail!("brand.folder is for {MOST} files of 1 MiB at most; {name} is too many or too large");
        }
        files.insert(name.to_owned(), File::new(name, Bytes::from(data)));
    }
    Ok(files)
}
