"""Errors: patterns of known errors with their fixes, and what it took to resolve each error that occurred."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from burnish.store.columns import Id, Real, UtcTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "error_patterns",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("project", sa.String(length=500), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("category", sa.String(length=20), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("literal", sa.Text(), nullable=False),
        sa.Column("file_pattern", sa.String(length=200), nullable=False),
        sa.Column("fix_type", sa.String(length=20), nullable=False),
        sa.Column("fix_template", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("confidence", Real, nullable=False),
        sa.Column("successes", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("learned", sa.BigInteger(), nullable=False),
        sa.Column("built_in", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("last_matched_at", UtcTime()),
        sa.CheckConstraint(
            "category IN ('syntax', 'import', 'type', 'runtime', 'build', 'lint', 'style')",
            name=op.f("ck_error_patterns_category"),
        ),
        sa.CheckConstraint("confidence >= 0 AND confidence <= 1", name=op.f("ck_error_patterns_confidence_range")),
        sa.CheckConstraint(
            "fix_type IN ('replace', 'insert', 'delete', 'refactor', 'multi_file')",
            name=op.f("ck_error_patterns_fix_type"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_error_patterns")),
        sa.UniqueConstraint("tenant", "project", "key", name=op.f("uq_error_patterns_tenant_project_key")),
    )
    op.create_index("ix_error_patterns_tenant_version", "error_patterns", ["tenant", "version"])
    op.create_table(
        "error_escalations",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("project", sa.String(length=500), nullable=False),
        sa.Column("run_id", Id),
        sa.Column("error_type", sa.String(length=200), nullable=False),
        sa.Column("signature", sa.String(length=500), nullable=False),
        sa.Column("signature_digest", sa.String(length=64), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("resolved", sa.Boolean(), nullable=False),
        sa.Column("fix", sa.Text()),
        sa.Column("occurred_at", UtcTime(), nullable=False),
        sa.CheckConstraint("level >= 0 AND level <= 9", name=op.f("ck_error_escalations_level_range")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_error_escalations")),
    )
    op.create_index("ix_error_escalations_tenant_signature_digest", "error_escalations", ["tenant", "signature_digest"])
    op.create_index("ix_error_escalations_tenant_resolved", "error_escalations", ["tenant", "resolved", "occurred_at"])


def downgrade() -> None:
    op.drop_table("error_escalations")
    op.drop_table("error_patterns")
