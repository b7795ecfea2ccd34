//! Document URIs, as clients spell them, and the files that they mean.

use std::path::{Path, PathBuf};

use tower_lsp::ls_types::Uri;

/// The file that a URI means; `None` for another scheme, another host, or a path that no file can have.
pub(super) fn to_path(uri: &Uri) -> Option<PathBuf> {
    let local = uri.authority().is_none_or(|authority| matches!(authority.host(), "" | "localhost"));
    if !uri.scheme().as_str().eq_ignore_ascii_case("file") || !local {
        return None;
    }
    let path = uri.to_file_path()?;
    let sound = path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0);
    sound.then(|| path.into_owned())
}

/// The URI of a file.
pub(super) fn from_path(path: &Path) -> Option<Uri> {
    Uri::from_file_path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(uri: &str) -> Option<PathBuf> {
        to_path(&uri.parse().expect("a URI"))
    }

    #[test]
    fn only_local_files_are_files() {
        assert_eq!(path("file:///a/b%20c.rs"), Some("/a/b c.rs".into()));
        assert_eq!(path("file://localhost/a"), Some("/a".into()));
        assert_eq!(path("file://elsewhere/a"), None);
        assert_eq!(path("untitled:Untitled-1"), None);
        assert_eq!(path("file:///a%00b"), None);
    }

    #[test]
    fn a_path_comes_back() {
        let odd = Path::new("/a/ä b#c?[x].rs");
        assert_eq!(to_path(&from_path(odd).expect("a URI")), Some(odd.into()));
    }
}
