//! Where a store is to be: a folder, or a database with the user and password that open it.
//!
//! The password is never shown, neither by `Debug` nor in an error.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use model::SecretBytes;
use sqlx::postgres::PgConnectOptions;

use crate::StoreError;
use crate::error::Place;

/// What addresses of databases begin with.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// What may stand behind the `?` of one.
const PARAMETERS: [&str; 8] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "user",
    "password",
];
/// And these, for settings of the server such as `options=-csearch_path=offhook`.
const SETTINGS: [&str; 2] = ["options", "application_name"];

/// Where a store is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// In this folder, made if it is missing.
    Folder(PathBuf),
    /// In this database of a PostgreSQL server.
    Database(DatabaseUrl),
}

/// The address of a database, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(SecretBytes);

impl Address {
    /// Reads `postgres://user:password@host:5432/database`, or the name of a folder.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        match text.split_once("://") {
            Some(_) => DatabaseUrl::parse(text).map(Self::Database),
            None => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Database(url) => url.fmt(f),
        }
    }
}

impl DatabaseUrl {
    /// Reads `postgres://user:password@host:5432/database`.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let wrong = |cause: String| StoreError::Address { cause };
        if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(wrong("it does not begin with postgres://".to_owned()));
        }
        let (_, parameters) = text.split_once('?').unwrap_or_default();
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            let (key, _) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !PARAMETERS
                .iter()
                .chain(&SETTINGS)
                .any(|known| *known == key)
            {
                let known = PARAMETERS.join(", ");
                return Err(wrong(format!(
                    "there is no parameter of a name that stands in it, but {known}"
                )));
            }
        }
        let options = PgConnectOptions::from_str(text)
            .map_err(|_| wrong("it cannot be read as one".to_owned()))?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err(wrong("it names no database".to_owned()));
        }
        Ok(Self(SecretBytes::new(text.as_bytes().to_vec())))
    }

    /// How to connect.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, StoreError> {
        let text = str::from_utf8(self.0.expose()).unwrap_or_default();
        PgConnectOptions::from_str(text).map_err(|_| StoreError::Address {
            cause: "it cannot be read as one".to_owned(),
        })
    }

    pub(crate) fn place(&self) -> Place {
        Place::Database(self.to_string().into())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(options) = self.options() else {
            return f.write_str("a database");
        };
        let database = options.get_database().unwrap_or_default();
        match options.get_socket() {
            Some(socket) => write!(f, "database {database} at {}", socket.display()),
            None => write!(
                f,
                "postgres://{}:{}/{database}",
                options.get_host(),
                options.get_port()
            ),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://ann:hush@db.example.com:5433/calls?sslmode=verify-full";

    #[test]
    fn a_password_is_shown_nowhere() {
        let address = Address::parse(URL).unwrap();
        assert_eq!(address.to_string(), "postgres://db.example.com:5433/calls");
        for shown in [format!("{address:?}"), address.to_string()] {
            assert!(!shown.contains("hush") && !shown.contains("ann"), "{shown}");
        }
        for wrong in [
            "mysql://ann:hush@a/b",
            "postgres://ann:hush@a:port/b",
            "postgres://ann:hush@a/b?pasword=hush",
            "postgres://ann:hush@a/b?sslmode=hush",
            "postgres://ann:hush@a",
        ] {
            let error = Address::parse(wrong).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hush"), "{shown}");
            assert!(shown.contains("its address is not right"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_url_is_a_folder() {
        let folder = Address::parse("./offhook-data").unwrap();
        assert_eq!(folder, Address::Folder("./offhook-data".into()));
    }
}
