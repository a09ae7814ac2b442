-- Tokens stand in containers from here on: how processes learn of changed rules, and the functions that know containers.

-- Who has or had containers or rules, and how often they changed, for every process to read twice a second: ids and
-- nothing else. Its row is also what two changes of one tenant wait for.
create table vault.container_change (
    tenant  text   primary key,
    version bigint not null
);

-- What stands in a container of its own is found by it; what stands in `default`, which is nearly everything, costs
-- nothing here.
create index token_contained on vault.token (merchant_id, mode, container, token_id) where container <> 'default';
