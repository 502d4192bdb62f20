//! One source file as the names it mentions: every path, with `use` groups spelled out.

use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path as written, or as `super` and `self` make it when it begins with those: `["crate", "store", "Record"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub path: Vec<String>,
    pub line: usize,
}

/// What the rules look at.
#[derive(Debug, Default)]
pub struct Source {
    pub paths: Vec<Named>,
    /// Lines with an `allow` or `expect` attribute that gives no reason.
    pub unreasoned: Vec<usize>,
}

impl Source {
    /// Reads `text`, a file of the module `module` (`["crate", "tmux", "parser"]`). With
    /// `tests` false, what is behind `#[cfg(test)]` is left out.
    pub fn read(text: &str, module: &[&str], tests: bool) -> Result<Self, String> {
        let stream = TokenStream::from_str(text).map_err(|e| e.to_string())?;
        let mut module = module.iter().map(|name| (*name).to_owned()).collect();
        let mut source = Self::default();
        source.walk(stream, &mut module, tests);
        Ok(source)
    }

    fn walk(&mut self, stream: TokenStream, module: &mut Vec<String>, tests: bool) {
        let tokens: Vec<_> = stream.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if let Some((attribute, after)) = attribute(&tokens, at) {
                if !tests && attribute.replace(' ', "") == "cfg(test)" {
                    at = item_end(&tokens, after);
                    continue;
                }
                let lint =
                    ["allow", "expect"].iter().any(|word| attribute.replace(' ', "").starts_with(&format!("{word}(")));
                if lint && !attribute.contains("reason") {
                    self.unreasoned.push(line(&tokens[at]));
                }
            }
            at = match &tokens[at] {
                TokenTree::Ident(word) if word == "mod" => self.inline_module(&tokens, at, module, tests),
                TokenTree::Ident(_) => self.path(&tokens, at, &mut Vec::new(), module, tests),
                TokenTree::Group(group) => {
                    self.walk(group.stream(), module, tests);
                    at + 1
                }
                _ => at + 1,
            };
        }
    }

    fn inline_module(&mut self, tokens: &[TokenTree], at: usize, module: &mut Vec<String>, tests: bool) -> usize {
        let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) = (tokens.get(at + 1), tokens.get(at + 2))
        else {
            return at + 1;
        };
        module.push(name.to_string());
        self.walk(body.stream(), module, tests);
        module.pop();
        at + 3
    }

    /// Takes the path that begins at `at`, under `prefix`, and gives where it ends.
    fn path(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        prefix: &mut Vec<String>,
        module: &mut Vec<String>,
        tests: bool,
    ) -> usize {
        let (start, depth) = (line(&tokens[at]), prefix.len());
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            prefix.push(word.to_string());
            at += 1;
            if !is_path_separator(tokens, at) {
                break;
            }
            at += 2;
            if let Some(TokenTree::Group(group)) = tokens.get(at).filter(|t| is_braced(t)) {
                self.use_group(group.stream(), prefix, module, tests);
                prefix.truncate(depth);
                return at + 1;
            }
        }
        self.paths.push(Named { path: resolve(prefix, module), line: start });
        prefix.truncate(depth);
        at
    }

    fn use_group(&mut self, stream: TokenStream, prefix: &mut Vec<String>, module: &mut Vec<String>, tests: bool) {
        let tokens: Vec<_> = stream.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Ident(_) => self.path(&tokens, at, prefix, module, tests),
                _ => at + 1,
            };
        }
    }
}

/// The inside of the attribute at `at`, and where it ends.
fn attribute(tokens: &[TokenTree], at: usize) -> Option<(String, usize)> {
    let is = |at: usize, wanted: char| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == wanted);
    let bracket = if is(at, '#') { at + 1 + usize::from(is(at + 1, '!')) } else { return None };
    match tokens.get(bracket) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            Some((group.stream().to_string(), bracket + 1))
        }
        _ => None,
    }
}

/// Where the item that begins at `at` ends: after its braces or its semicolon.
fn item_end(tokens: &[TokenTree], at: usize) -> usize {
    let ends = |token: &TokenTree| is_braced(token) || matches!(token, TokenTree::Punct(p) if p.as_char() == ';');
    tokens[at..].iter().position(ends).map_or(tokens.len(), |offset| at + offset + 1)
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(at) && colon(at + 1)
}

fn is_braced(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn line(token: &TokenTree) -> usize {
    token.span().start().line
}

/// `super::super::x` seen from `crate::a::b` is `crate::x`.
fn resolve(path: &[String], module: &[String]) -> Vec<String> {
    if !matches!(path[0].as_str(), "super" | "self") {
        return path.to_vec();
    }
    let rest = path.iter().position(|word| word != "super" && word != "self").unwrap_or(path.len());
    let up = path[..rest].iter().filter(|word| *word == "super").count();
    let base = &module[..module.len().saturating_sub(up)];
    [base, &path[rest..]].concat()
}
