//! `offhook config check`: every value with its source, and what the node would say.

use clap::Subcommand;
use serde_json::json;

use super::config::Effective;
use super::config_environment::environment;
use super::config_key::ServeFlags;
use super::config_layers::Layers;
use super::config_turn::in_table;
use super::{Failure, Place, config_service, output};

/// `offhook config …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the configuration that `offhook serve` would use, with the source of each value, and check it
    Check {
        #[command(flatten)]
        flags: ServeFlags,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(crate) fn run(self, place: &Place, outer: ServeFlags) -> Result<(), Failure> {
        match self {
            Self::Check { flags, json } => {
                let flags = flags.or(outer);
                let layers = Layers::read(place, &flags, &environment)?;
                layers.check_environment();
                let effective = Effective::read(&layers)?;
                let outlook = effective.outlook();
                if json {
                    let mut told = effective.json();
                    told["services"] = config_service::in_json(layers.services());
                    told["trunks"] = effective.trunk().in_json();
                    let [admin, turn, media] = match &outlook {
                        Ok(findings) => findings.each_ref().map(Vec::as_slice),
                        Err(_) => [&[][..]; 3],
                    };
                    told["admin_findings"] = admin.iter().map(finding_json).collect();
                    told["turn_findings"] = turn.iter().map(finding_json).collect();
                    told["media_findings"] = media.iter().map(finding_json).collect();
                    output::print_json(&told)?;
                } else {
                    let mut table = output::Table::new(["KEY", "VALUE", "SOURCE"]);
                    for (key, value, source) in effective.rows() {
                        table.row([key.name.to_owned(), value, source.to_string()]);
                    }
                    for (key, value, source) in effective.further_rows() {
                        let text = in_table(&value);
                        table.row([key.name.to_owned(), text, source.to_string()]);
                    }
                    config_service::add_rows(&mut table, layers.services());
                    effective.trunk().add_rows(&mut table);
                    output::print(&table)?;
                    for (at, finding) in outlook.iter().flatten().flatten().enumerate() {
                        let space = if at == 0 { "\n" } else { "" };
                        let mark = if finding.is_doubt() { "Warning: " } else { "" };
                        output::print(format!("{space}{mark}{finding}."))?;
                    }
                }
                outlook.map(drop)
            }
        }
    }
}

fn finding_json(finding: &node::Finding) -> serde_json::Value {
    json!({ "is_warning": finding.is_doubt(), "text": finding.text() })
}
