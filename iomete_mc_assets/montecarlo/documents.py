"""Every GraphQL document of this project, once. Each validates against the schema that pycarlo ships (rule 42).

What they are used for lives in ``operations``; how they are sent in ``control_plane``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One operation.

    Attributes:
        text: GraphQL, with one named operation.
        secrets: variables whose values are masked in whatever is said about the answer.
        private: whether its answer brings a secret, so that nothing of it is ever shown.
    """

    text: str
    secrets: tuple[str, ...] = ()
    private: bool = False

    @property
    def name(self) -> str:
        """The operation's name, e.g. ``Warehouses``."""
        return self.text.replace("{", "(", 1).partition("(")[0].split()[1]

    @property
    def changes(self) -> bool:
        """Whether it changes something at Monte Carlo."""
        return self.text.startswith("mutation")


TEST_SPARK = Document(
    """\
mutation TestSpark($u: String!, $n: String!, $p: String!, $dc: UUID!) {
  testSparkCredentials(
    httpMode: {url: $u, username: $n, password: $p}
    connectionOptions: {dcId: $dc, skipValidation: false, skipPermissionTests: false}
  ) {
    key
    success
  }
}
""",
    secrets=("p",),
)
PUT_INTEGRATION = Document("""\
mutation Integration(
  $n: String
  $w: UUID
  $monitors: CapabilityConfigInput
  $metadata: CapabilityConfigInput
  $queryLogs: CapabilityConfigInput
) {
  createOrUpdateCustomIntegration(
    name: $n
    warehouseUuid: $w
    monitors: $monitors
    metadata: $metadata
    queryLogs: $queryLogs
  ) {
    result {
      warehouseUuid
      connections {
        capability
        connection {
          uuid
          type
          jobTypes
        }
      }
    }
  }
}
""")
CREATE_KEY = Document(
    """\
mutation Key($d: String!, $w: [UUID]) {
  createIntegrationKey(description: $d, scope: Ingestion, warehouseIds: $w) {
    key {
      id
      secret
    }
  }
}
""",
    private=True,
)
KEYS = Document("""\
query Keys {
  getIntegrationKeys(scope: "Ingestion") {
    id
    description
    scope
    createdTime
    warehouses {
      uuid
      name
    }
  }
}
""")
WAREHOUSES = Document("""\
query Warehouses {
  getWarehouses {
    uuid
    name
    connectionType
    isDeleted
    connections {
      uuid
      type
      jobTypes
      isActive
    }
    pushEvents {
      eventType
      status
      firstReceived
      lastReceived
      lastInvocationId
    }
  }
}
""")
ACCOUNT = Document("""\
query Account {
  getUser {
    account {
      uuid
    }
  }
}
""")
CONTAINERS = Document("""\
query Containers {
  getEtlContainers {
    uuid
    name
    type
    pushEvents {
      eventType
      status
      firstReceived
      lastReceived
      lastInvocationId
    }
  }
}
""")
COLLECTORS = Document("""\
query Collectors {
  getUser {
    account {
      dataCollectors {
        uuid
        name
        active
      }
    }
  }
}
""")
# arguments whose variables are left away are not sent: without $inv all tables are listed
TABLES = Document("""\
query Tables($dw: UUID!, $inv: String, $after: String) {
  getTables(
    dwId: $dw
    ingestInvocationId: $inv
    isDeleted: false
    first: 200
    after: $after
  ) {
    edges {
      node {
        mcon
        fullTableId
        tableType
        lastObserved
        lastUpdatedOn
        ingestType
        ingestInvocationId
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
""")
BY_NAME = Document("""\
query ByName($id: String!, $dw: UUID!) {
  getTables(dwId: $dw, fullTableId: $id, isDeleted: false, first: 2) {
    edges {
      node {
        mcon
        fullTableId
        friendlyName
        tableType
        isDeleted
        lastObserved
        lastUpdatedOn
        ingestType
        ingestInvocationId
      }
    }
  }
}
""")
FIELDS = Document("""\
query Fields($m: String!) {
  getTable(mcon: $m) {
    versions(first: 1) {
      edges {
        node {
          versionId
          timestamp
          fields(first: 500) {
            edges {
              node {
                name
                fieldType
                description
              }
            }
            pageInfo {
              hasNextPage
              endCursor
            }
          }
        }
      }
    }
  }
}
""")
DETECTORS = Document("""\
query Detectors($m: String!) {
  getTable(mcon: $m) {
    thresholds {
      freshness {
        status
        reason
      }
      size {
        metric
        sdStatus
        sdReason
        ucsStatus
        ucsReason
      }
    }
  }
}
""")
METRICS = Document("""\
query Metrics($n: String!, $s: DateTime!, $e: DateTime, $f: MetricsFilter!) {
  getMetricsV4(
    metricName: $n
    startTime: $s
    endTime: $e
    metricsFilter: $f
    first: 500
  ) {
    metrics {
      value
      measurementTimestamp
    }
    isPartialDateRange
  }
}
""")
LINEAGE = Document("""\
query Lineage($m: String!) {
  getTableLineage(mcon: $m, direction: "upstream", hops: 1) {
    connectedNodes {
      mcon
      objectType
      displayName
    }
    flattenedEdges {
      mcon
      directlyConnectedMcons
    }
  }
}
""")
NEIGHBOURS = Document("""\
query Neighbours($m: String!, $d: String!) {
  getTableLineage(mcon: $m, direction: $d, hops: 1) {
    baseNode {
      mcon
      displayName
      isCustom
      expireAt
    }
    connectedNodes {
      mcon
    }
  }
}
""")
COLUMN_LINEAGE = Document("""\
query ColumnLineage($m: String!, $c: String!, $cur: String) {
  getDerivedTablesPartialLineage(
    mcon: $m
    column: $c
    cursor: $cur
    pageSize: 1000
  ) {
    destinations {
      mcon
      displayName
      columns {
        columnName
        columnType
      }
    }
    isLastPage
    cursor
  }
}
""")
QUERY = Document("""\
query Query($id: String!, $ts: DateTime!) {
  getQueryById(queryId: $id, timestamp: $ts) {
    queryId
    timestamp
    sourceDisplayName
    destinationDisplayName
    errorCode
    errorMsg
  }
}
""")
QUERIES = Document("""\
query Queries($m: String!, $t: String!, $s: DateTime!, $e: DateTime!, $o: Int) {
  getQueryList(
    mcon: $m
    queryType: $t
    startTime: $s
    endTime: $e
    limit: 100
    offset: $o
  ) {
    total
    offset
    queries {
      queryId
      timestamp
      userName
      status
    }
  }
}
""")
NODE = Document("""\
mutation Node($t: String!, $i: String!, $r: UUID!, $n: String, $x: DateTime!) {
  createOrUpdateLineageNode(
    objectType: $t
    objectId: $i
    resourceId: $r
    name: $n
    expireAt: $x
  ) {
    node {
      mcon
      displayName
      expireAt
    }
  }
}
""")
EDGE = Document("""\
mutation Edge($a: NodeInput!, $b: NodeInput!, $x: DateTime!) {
  createOrUpdateLineageEdge(source: $a, destination: $b, expireAt: $x) {
    edge {
      source {
        mcon
      }
      destination {
        mcon
      }
      expireAt
    }
  }
}
""")
DROP_NODE = Document("""\
mutation DropNode($m: String!) {
  deleteLineageNode(mcon: $m) {
    objectsDeleted
    nodesDeleted
    edgesDeleted
  }
}
""")
DROP_TABLES = Document("""\
mutation DropTables($m: [String!]!) {
  deletePushIngestedTables(mcons: $m) {
    success
    deletedCount
  }
}
""")
DELETE_KEY = Document("""\
mutation DeleteKey($id: String!) {
  deleteIntegrationKey(keyId: $id) {
    deleted
  }
}
""")

DOCUMENTS = tuple(value for value in tuple(globals().values()) if isinstance(value, Document))
"""All of them."""
