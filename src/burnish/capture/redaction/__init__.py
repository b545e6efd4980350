"""The one choke point: personal data and secrets are replaced in every bundle before anything of it is kept.

`scanner` finds, `pseudonyms` names, `redactor` walks a bundle. Nothing here is loaded by `import burnish`; rules are
compiled by `burnish.open`.
"""
