//! Between addresses of this process and code that every process can find.
//!
//! An address is named by its file and an offset in it, as the file's identity stands for every byte: so static and
//! hidden functions have names, too. Nothing is opened here.

use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;
use std::ptr;

use super::dl::Opening;
use super::memory;
use crate::code::{CodePlace, CodeRef, Home};
use crate::identity::Identity;
use crate::request::OpenFlags;
use crate::task::Function;

/// Why an address has no portable name.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// Made at run time, or no code at all.
    #[error(
        "the code at {0:#x} is in no mapped file, so that no other process can have it: to bring code that was generated at run time, register a callback of a library with the code (its source, its bytes) as the payload"
    )]
    NoFile(usize),
    /// There is a file, but what is mapped is not code.
    #[error("{address:#x} in {path} is no code")]
    NoCode {
        /// Where.
        address: usize,
        /// The file.
        path: String,
    },
    /// The file has no identity.
    #[error("{0}")]
    NoIdentity(String),
    /// Files cannot be looked at with the loader's lock held.
    #[error(
        "a constructor cannot name code: add a callback to the plugin's table, or do it when the library is loaded"
    )]
    InConstructor,
}

/// `struct link_map` of `<link.h>`, its public head.
#[repr(C)]
struct LinkMap {
    bias: usize,
    name: *const c_char,
    dynamic: *const c_void,
}

const RTLD_DL_LINKMAP: i32 = 2;

/// The object that an address belongs to.
pub(super) struct Object {
    /// What is added to an address of the file.
    pub bias: usize,
    /// Its file; none for the main program.
    pub path: Option<PathBuf>,
    near: Option<String>,
}

/// Looks an address up among the loaded objects. Takes the loader's lock.
pub(super) fn object_at(address: usize) -> Option<Object> {
    // SAFETY: zero is a valid Dl_info: null pointers.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    let mut map: *mut c_void = ptr::null_mut();
    // SAFETY: dladdr1 only compares the address; both out-pointers are valid.
    let found =
        unsafe { libc::dladdr1(ptr::with_exposed_provenance(address), &raw mut info, &raw mut map, RTLD_DL_LINKMAP) };
    if found == 0 || map.is_null() {
        return None;
    }
    // SAFETY: the loader's record of an object that is loaded; dlcast unloads none.
    let map = unsafe { &*map.cast::<LinkMap>() };
    // SAFETY: the loader's own strings, or null.
    let text = |text: *const c_char| (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy());
    let path = text(map.name).filter(|name| !name.is_empty()).map(|name| PathBuf::from(name.into_owned()));
    Some(Object { bias: map.bias, path, near: text(info.dli_sname).map(Into::into) })
}

/// The load bias of an open object.
fn bias_of(handle: *mut c_void) -> Option<usize> {
    let mut map: *mut LinkMap = ptr::null_mut();
    // SAFETY: a handle of dlopen that this process keeps; the request writes one pointer.
    let status = unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast()) };
    // SAFETY: where dlinfo succeeds, the pointer is the object's record.
    (status == 0 && !map.is_null()).then(|| unsafe { (*map).bias })
}

/// The loader's record of an open object.
pub(super) fn map_of(handle: *mut c_void) -> usize {
    let mut map: *mut LinkMap = ptr::null_mut();
    // SAFETY: a handle of dlopen; the request writes one pointer.
    let status = unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast()) };
    if status == 0 { map.expose_provenance() } else { 0 }
}

/// Whether an open object may export a symbol itself: false for certain, true perhaps. dlsym says it for certain, but its no
/// is slow, as it is put into words.
pub(super) fn may_export(map: usize, symbol: &[u8]) -> bool {
    const DT_NULL: i64 = 0;
    const DT_GNU_HASH: i64 = 0x6fff_fef5;
    if map == 0 {
        return true;
    }
    // SAFETY: the loader's record of an object that this process keeps open, its dynamic section, which ends in DT_NULL, and its
    // hash table, which was found sound before the object was opened. The loader has relocated the table's address, or not.
    unsafe {
        let map = &*ptr::with_exposed_provenance::<LinkMap>(map);
        let mut entry = map.dynamic.cast::<[i64; 2]>();
        while !entry.is_null() && (*entry)[0] != DT_NULL {
            let [tag, value] = *entry;
            entry = entry.add(1);
            if tag != DT_GNU_HASH {
                continue;
            }
            let value = value as usize;
            let table = if value < map.bias { value + map.bias } else { value };
            let head = ptr::with_exposed_provenance::<u32>(table);
            let (words, shift) = (*head.add(2), *head.add(3));
            let hash = symbol.iter().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)));
            let word = *head.add(4).cast::<u64>().add(((hash / 64) & (words.max(1) - 1)) as usize);
            return (word >> (hash % 64)) & (word >> ((hash >> (shift % 32)) % 64)) & 1 == 1;
        }
    }
    true
}

impl Opening<'_> {
    /// Where an open object is.
    pub(super) fn bias(&mut self, identity: &Identity) -> Option<usize> {
        bias_of(self.open_handle(identity).ok()?)
    }

    /// What tells one run of a function from another, in this process: function, tag and payload. The same for every way
    /// to the function: by symbol, by offset, from a table.
    pub fn run_key(&mut self, function: Function, tag: u64, payload: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        match self.code_at(function.0, "").map(|code| code.place) {
            Ok(CodePlace::Offset { library, offset, .. }) => {
                hasher.update(&library.identity.digest).update(library.identity.name.as_bytes());
                hasher.update(&offset.to_le_bytes());
            }
            // Code without a file: there is nothing but its address.
            _ => {
                hasher.update(&function.0.to_le_bytes());
            }
        }
        *hasher.update(&tag.to_le_bytes()).update(payload).finalize().as_bytes()
    }

    /// Names the code at an address.
    pub fn code_at(&mut self, address: usize, signature: &str) -> Result<CodeRef, CodeError> {
        let object = object_at(address).ok_or(CodeError::NoFile(address))?;
        let (identity, path) = match object.path {
            None => self.program().map_err(CodeError::NoIdentity)?,
            Some(path) => {
                let Some(text) = path.to_str() else {
                    return Err(CodeError::NoIdentity(format!("{}: names travel as UTF-8", path.display())));
                };
                let found = super::Opener::find(self, text, OpenFlags::NOW, true);
                match (found.identity, found.path) {
                    (Some(identity), Some(path)) => (identity, path),
                    _ => return Err(CodeError::NoIdentity(self.why_no_identity(text))),
                }
            }
        };
        if !memory::is_code(address) {
            return Err(CodeError::NoCode { address, path });
        }
        let offset = address.wrapping_sub(object.bias) as u64;
        let place = CodePlace::Offset { library: Home { identity, path }, offset, near: object.near };
        Ok(CodeRef::new(place, signature))
    }

    /// The address of code whose library is open; `None` for a library without a function. The text says what is wrong.
    pub fn address_of(&mut self, code: &CodeRef) -> Result<Option<Function>, String> {
        let Some(home) = code.home() else {
            return Err(format!("{code} is Python code: this process has to call it through Python"));
        };
        let handle = self.open_handle(&home.identity)?;
        let address = match &code.place {
            CodePlace::Library(_) | CodePlace::Python { .. } => return Ok(None),
            CodePlace::Symbol { symbol, .. } => self.symbol(&home.identity, symbol)?,
            CodePlace::Offset { offset, .. } => {
                let bias = bias_of(handle).ok_or_else(|| format!("{}: the loader does not know it", home.path))?;
                bias.wrapping_add(*offset as usize)
            }
        };
        // An offset that came in a message is not believed: it must lead to code of this very object.
        let inside = object_at(address).map(|object| object.bias) == bias_of(handle);
        let is_symbol = matches!(code.place, CodePlace::Symbol { .. });
        if !(inside || is_symbol) || !memory::is_code(address) {
            return Err(format!("{code} leads to no code of {}", home.identity));
        }
        Ok(Some(Function(address)))
    }

    /// What the main program is.
    pub(super) fn program(&mut self) -> Result<(Identity, String), String> {
        let (identity, path) = self.identify_program().map_err(|error| error.to_string())?;
        Ok((identity, path.to_string_lossy().into_owned()))
    }
}
