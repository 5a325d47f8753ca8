//! What has to be changed on the disk so that layers are linked as planned, and changing it.
//!
//! All is prepared beside what is there, in every layer; then each layer's folder is exchanged, and its wrapper put in place. So what
//! can fail fails before anything has changed, and a layer that a run was interrupted in has its old links or its new ones.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{self, Found, Links};
use super::{LinkError, Plan};
use crate::layers::stack::{Platform, Stack};
use crate::layers::wrapper::place::{self, Placement};
use crate::layers::wrapper::{self, DYNLIB, WrapperError};

/// From [`DYNLIB`] to the layer.
const UP: &str = "../../..";

/// What has to be changed in one layer.
#[derive(Debug)]
pub struct Change {
    /// Its name.
    pub layer: String,
    /// The names of links, by what becomes of them. `None` where no object is read: see [`Platform::MacOs`].
    pub links: Option<Difference>,
    /// The wrapper.
    pub placement: Placement,
    root: PathBuf,
    wanted: Links,
}

/// Links before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// New ones.
    pub added: Vec<OsString>,
    /// Those that lead elsewhere now.
    pub changed: Vec<OsString>,
    /// Those that are gone.
    pub removed: Vec<OsString>,
    /// Those that stay.
    pub kept: Vec<OsString>,
    /// Whether the folder itself has to be made.
    no_folder: bool,
}

/// What has to be changed in a stack, a layer each.
#[derive(Debug)]
pub struct Changes(pub Vec<Change>);

impl Changes {
    /// Looks what is there, and what that lacks.
    ///
    /// # Errors
    ///
    /// [`LinkError`]; nothing was changed.
    pub fn find(stack: &Stack, roots: &[PathBuf], plan: &Plan) -> Result<Changes, LinkError> {
        let one = |at: usize| Change::find(stack, roots, plan, at);
        Ok(Changes((0..stack.layers.len()).map(one).collect::<Result<_, _>>()?))
    }

    /// Looks whether the changes could be made, and makes none.
    ///
    /// # Errors
    ///
    /// [`LinkError::Write`] where [`apply`](Self::apply) would be refused.
    pub fn try_out(&self) -> Result<(), LinkError> {
        self.0.iter().try_for_each(Change::look)
    }

    /// Makes the changes. Where there are none, nothing is touched.
    ///
    /// # Errors
    ///
    /// [`LinkError`]. Nothing was changed, unless files were taken away meanwhile.
    pub fn apply(&self) -> Result<(), LinkError> {
        let locks = self.0.iter().map(Change::lock).collect::<Result<Vec<_>, _>>()?;
        let missing: Vec<PathBuf> = self.0.iter().flat_map(Change::missing).collect();
        let prepared = self.0.iter().try_for_each(Change::prepare);
        if prepared.is_err() {
            self.0.iter().for_each(Change::give_up);
            // Those that have something in them by now are somebody else's.
            missing.iter().for_each(|folder| drop(fs::remove_dir(folder)));
        }
        prepared?;
        self.0.iter().try_for_each(Change::exchange)?;
        self.0.iter().try_for_each(Change::wrap)?;
        drop(locks);
        Ok(())
    }
}

impl Change {
    fn find(stack: &Stack, roots: &[PathBuf], plan: &Plan, at: usize) -> Result<Change, LinkError> {
        let (layer, root) = (&stack.layers[at], &roots[at]);
        let name = || layer.name.clone();
        let wrapped = |source: WrapperError| LinkError::Wrapper { layer: name(), source };

        let below: Vec<&Path> = layer.below.iter().map(|below| roots[*below].as_path()).collect();
        let text = wrapper::text(layer.platform, root, &below).map_err(wrapped)?;
        let placement = place::plan(root, roots, text).map_err(wrapped)?;

        let up = |file: &PathBuf| Path::new(UP).join(file);
        let wanted: Links = plan.links[at].iter().map(|(name, file)| (name.clone(), up(file))).collect();
        let links = match layer.platform {
            Platform::MacOs => None,
            Platform::Posix => Some(there(&layer.name, root)?).map(|there| Difference::of(there, &wanted)),
        };
        Ok(Change { layer: name(), links, placement, root: root.clone(), wanted })
    }

    /// Whether all is as it has to be.
    pub fn is_none(&self) -> bool {
        self.placement.is_done() && self.links.as_ref().is_none_or(Difference::is_none)
    }

    fn folder(&self) -> PathBuf {
        self.root.join(DYNLIB)
    }

    /// One run at a time. Some network file systems have no locks.
    fn lock(&self) -> Result<Option<File>, LinkError> {
        let (layer, path) = (self.layer.clone(), self.root.clone());
        let folder = match File::open(&path) {
            Ok(folder) => folder,
            Err(source) => return Err(LinkError::Read { layer, path, source }),
        };
        match folder.try_lock() {
            Ok(()) => Ok(Some(folder)),
            Err(TryLockError::WouldBlock) => Err(LinkError::Busy { layer, path }),
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    /// Those of the folders around the links that are not there, the innermost first.
    fn missing(&self) -> impl Iterator<Item = PathBuf> {
        ["share/venv", "share"].map(|name| self.root.join(name)).into_iter().filter(|folder| !folder.exists())
    }

    /// Whether [`prepare`](Self::prepare) could write where it has to.
    fn look(&self) -> Result<(), LinkError> {
        let mut files = Vec::new();
        files.extend(self.changes_links().then(|| self.folder()));
        files.extend(self.placement.files());
        let may_write = |file: &PathBuf| {
            let folder = file.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(&self.root);
            folder::may_write(folder).map_err(|source| self.cannot_write(file, source))
        };
        files.iter().try_for_each(may_write)
    }

    fn prepare(&self) -> Result<(), LinkError> {
        let folder = self.folder();
        let failed = |source| self.cannot_write(&folder, source);
        if self.changes_links() {
            fs::create_dir_all(folder.parent().unwrap_or(&self.root)).map_err(failed)?;
            folder::prepare(&folder, &self.wanted).map_err(failed)?;
        } else {
            folder::clear(&folder).map_err(failed)?;
        }
        self.placement.prepare().map_err(|(path, source)| self.cannot_write(&path, source))
    }

    /// Names the folder that a file or a folder cannot be made in.
    fn cannot_write(&self, path: &Path, source: io::Error) -> LinkError {
        let path = path.ancestors().skip(1).find(|path| path.is_dir()).unwrap_or(path);
        LinkError::Write { layer: self.layer.clone(), path: path.into(), source }
    }

    fn give_up(&self) {
        // What cannot be removed now is removed by the next run.
        let _ = folder::clear(&self.folder());
        let _ = self.placement.clear();
    }

    fn exchange(&self) -> Result<(), LinkError> {
        if !self.changes_links() {
            return Ok(());
        }
        let path = self.folder();
        folder::exchange(&path).map_err(|source| self.cannot_write(&path, source))
    }

    fn wrap(&self) -> Result<(), LinkError> {
        self.placement.carry_out().map_err(|(path, source)| self.cannot_write(&path, source))
    }

    fn changes_links(&self) -> bool {
        self.links.as_ref().is_some_and(|links| !links.is_none())
    }
}

impl Difference {
    fn of(found: Found, wanted: &Links) -> Difference {
        let no_folder = !matches!(found, Found::Links(_));
        let there = match found {
            Found::Links(links) | Found::Link(links) => links,
            Found::Nothing | Found::Other(_) => Links::new(),
        };
        let mut difference = Difference { no_folder, ..Difference::default() };
        for (name, says) in wanted {
            let list = match there.get(name) {
                None => &mut difference.added,
                Some(there) if there == says => &mut difference.kept,
                Some(_) => &mut difference.changed,
            };
            list.push(name.clone());
        }
        difference.removed = there.into_keys().filter(|name| !wanted.contains_key(name)).collect();
        difference
    }

    /// Whether all is as it has to be.
    pub fn is_none(&self) -> bool {
        !self.no_folder && [&self.added, &self.changed, &self.removed].iter().all(|list| list.is_empty())
    }
}

/// What is in the place of the layer's links.
fn there(layer: &str, root: &Path) -> Result<Found, LinkError> {
    let failed = |path: &Path, source: io::Error| LinkError::Read { layer: layer.into(), path: path.into(), source };
    let path = root.join(DYNLIB);
    for folder in ["share", "share/venv"] {
        let folder = root.join(folder);
        match fs::canonicalize(&folder) {
            Ok(real) if real == folder => {}
            Ok(real) => return Err(LinkError::Elsewhere { layer: layer.into(), path: folder, real }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(failed(&folder, error)),
        }
    }
    match folder::look(&path).map_err(|error| failed(&path, error))? {
        Found::Other(path) => Err(LinkError::NotALink { layer: layer.into(), path }),
        found => Ok(found),
    }
}
