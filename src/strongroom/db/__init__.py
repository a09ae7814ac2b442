# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: pools that state their merchants, named SQL, migrations, group commit. Alone imports the driver."""
